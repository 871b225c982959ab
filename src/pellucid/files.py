"""Directories, locks and atomic writes."""

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pellucid.errors import UserError

LOCK = ".lock"
"""Lock file of a process in a folder."""

PARTIAL = ".part-"
"""Prefix of the temporary files and folders of `atomic_write`."""


def home() -> Path:
    """The folder for all data that Pellucid keeps between runs: `$PELLUCID_HOME`, or `~/.cache/pellucid`."""
    return Path(os.environ.get("PELLUCID_HOME") or "~/.cache/pellucid").expanduser()


def folder(path: Path) -> Path:
    """Create the folder `path` and its parents if missing, and return it; raises `UserError` if it is not writable."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"Expected to write into {path}, found a folder without permission to write; choose another path.")
    return path


@contextmanager
def locked(path: Path, wait: bool = False, keep: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on the folder `path`. The system releases it when a process dies; partial files of that process are removed.

    wait: wait while another process holds it; otherwise that is a `UserError`. keep: leave the lock file in the folder; otherwise it is
    removed in the end, as is a folder that was created for it and has nothing else in it.
    """
    from filelock import FileLock, Timeout  # only now, to keep the start of the command line fast

    created = not path.exists()
    file = folder(path) / LOCK
    lock = FileLock(file, blocking=wait)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(f"Expected a folder that no other process works in, found {path} in use; wait for it, or choose another.") from None
    try:
        remove_partial(path)
        yield
    finally:
        if not keep:  # while it is held: a process that has opened the removed file sees that and opens the new one
            with suppress(OSError):
                file.unlink()
        lock.release()
        if created and not keep:
            with suppress(OSError):  # not empty
                path.rmdir()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write to; it is renamed to `path` on success and removed on any error, Ctrl-C included.

    The sibling has the suffix of `path`, for writers that choose a format by it, and may be created as a file or as a folder. A file
    replaces an existing file; a folder replaces only an empty one, since a rename can't merge two. Each writer has its own sibling, so of
    two concurrent writers the last to finish wins, and no partial file is ever visible. The body should only write: an `OSError` in it,
    such as a full disk, is raised as a `UserError` about an unwritable path.
    """
    # Not `tempfile`, which creates files readable by their owner alone: permissions should follow the user's umask.
    parent = path.parent
    if not os.access(parent, os.W_OK | os.X_OK):
        folder(parent)
    sibling = parent / f"{PARTIAL}{secrets.token_hex(6)}{path.suffix}"
    try:
        yield sibling
        if os.name == "nt" and sibling.is_dir() and path.is_dir():
            path.rmdir()  # Windows does not replace an empty folder
        _replace(sibling, path)
    except BaseException as error:
        _remove(sibling)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise


def remove_partial(path: Path, below: bool = False) -> None:
    """Remove the temporary files and folders that killed writers have left in the folder `path`; below: also in its subfolders."""
    for left in list((path.rglob if below else path.glob)(f"{PARTIAL}*")):
        _remove(left)


def write_json(path: Path, value: object, **options: Any) -> None:
    """Write a value as indented JSON, atomically; options: of `json.dumps`."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, **options) + "\n", encoding="utf-8")


def _replace(made: Path, path: Path) -> None:
    """Rename a file or folder, on Windows with more tries: there, a file that another process reads can't be replaced."""
    for seconds in (0.05, 0.1, 0.2, 0.4, 0.8) if os.name == "nt" else ():
        with suppress(PermissionError):
            os.replace(made, path)  # noqa: PTH105 - pathlib parses the path once more, which takes longer than the call
            return
        time.sleep(seconds)
    os.replace(made, path)  # noqa: PTH105


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"Expected to write {path}, found that it can't be done ({error.strerror or error}); choose another path, or free some disk space."
    )
