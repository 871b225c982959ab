"""Where Pellucid keeps its files, and how they come to be: whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pellucid.errors import UserError

LOCK = ".lock"
"""File by which a process says that it works in a folder."""


def home() -> Path:
    """The folder of everything that Pellucid keeps between runs: `$PELLUCID_HOME`, or `~/.cache/pellucid`."""
    return Path(os.environ.get("PELLUCID_HOME") or "~/.cache/pellucid").expanduser()


def folder(path: Path) -> Path:
    """`path` itself, made with its parents where missing; a place that can't be written is a `UserError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"Expected to write into {path}, found a folder without permission to; choose another place.")
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Within it, no other process has the folder `path`; raises `UserError` where one has it. The system lets go when a process dies."""
    lock = FileLock(folder(path) / LOCK, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(f"Expected a folder that no other process works in, found {path} in use; wait for it, or choose another.") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write to; it takes the name `path` on success and is removed on any error, Ctrl-C included.

    The sibling ends like `path`, for writers that choose a format by the ending, and may be written as a file or made as a folder. A file
    takes the place of an older one; a folder takes the place of an empty one alone, since a rename can't merge two. Each writer has a
    sibling of its own, so of two at once the last one to finish wins, and neither ever shows half a file. The body should do nothing but
    write: an `OSError` in it, such as a full disk, is reported as a place that can't be written.
    """
    # Not `tempfile`: it makes the file itself, readable by its owner alone, and what we write should follow the user's umask.
    sibling = folder(path.parent) / f".part-{secrets.token_hex(6)}{path.suffix}"
    try:
        yield sibling
        sibling.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        if sibling.is_dir():
            shutil.rmtree(sibling, ignore_errors=True)
        else:
            sibling.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"Expected to write {path}, found that it can't be done ({error.strerror or error}); choose another place or make room."
    )
