import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pellucid import files
from pellucid.errors import UserError


def test_home_is_the_users_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path))
    assert files.home() == tmp_path
    monkeypatch.setenv("PELLUCID_HOME", "")
    assert files.home() == Path.home() / ".cache" / "pellucid"


def test_a_file_appears_at_the_end_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    for content in ("first", "second"):
        before = path.read_text() if path.exists() else None
        with files.atomic_write(path) as temporary:
            assert temporary.suffix == path.suffix
            temporary.write_text(content)
            assert (path.read_text() if path.exists() else None) == before
        assert path.read_text() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_another_process_reads_is_replaced_later_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Path] = []

    def refused_twice(made: Path, path: Path) -> None:
        tries.append(path)
        if len(tries) <= 2:
            raise PermissionError(13, "used by another process")
        made.rename(path)

    windows = SimpleNamespace(name="nt", replace=refused_twice, access=os.access, W_OK=os.W_OK, X_OK=os.X_OK)
    monkeypatch.setattr(files, "os", windows)
    with files.atomic_write(tmp_path / "log") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "log").read_text() == "whole"
    assert tries == [tmp_path / "log"] * 3


def test_what_is_written_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with files.atomic_write(tmp_path / "file") as temporary:
            temporary.write_text("")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("is_folder", [False, True])
def test_an_error_leaves_things_as_they_were(tmp_path: Path, error: type[BaseException], is_folder: bool) -> None:
    def write() -> None:
        with files.atomic_write(path) as temporary:
            if is_folder:
                temporary.mkdir()
            (temporary / "part" if is_folder else temporary).write_text("half")
            raise error

    path = tmp_path / "kept"
    path.write_text("old")
    with pytest.raises(error):
        write()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


def test_a_folder_appears_whole_and_never_replaces_a_full_one(tmp_path: Path) -> None:
    def write(content: str) -> None:
        with files.atomic_write(tmp_path / "model") as temporary:
            temporary.mkdir()
            (temporary / "config.json").write_text(content)

    write("old")
    with pytest.raises(UserError, match=r"Expected to write .*model, found"):
        write("new")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "config.json").read_text() == "old"


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    def write() -> None:
        with files.atomic_write(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"found that it can't be done \(No space left on device\)"):
        write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["file/model", "/proc/model/model"])
def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Expected to write"), files.atomic_write(tmp_path / place):
        pytest.fail("the body should not run")


def test_a_folder_without_permission_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere, and the tests may run as root
    with pytest.raises(UserError, match="without permission"):
        files.folder(tmp_path / "folder")


def test_a_lock_is_kept_or_removed_with_the_folder_it_was_created_for(tmp_path: Path) -> None:
    def lock(keep: bool) -> None:
        with files.locked(tmp_path / "folder", keep=keep), pytest.raises(UserError, match="in use"), files.locked(tmp_path / "folder"):
            pytest.fail("held twice")

    lock(keep=False)
    assert not (tmp_path / "folder").exists()
    lock(keep=True)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == [files.LOCK]
    lock(keep=False)
    assert not any((tmp_path / "folder").iterdir())
    lock(keep=True)
