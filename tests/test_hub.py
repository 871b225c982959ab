"""Models to and from folders and the hub: what is uploaded loads again, and without a network there is a sentence, soon."""

import json
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest
import torch

import pellucid
from pellucid import hub_access
from pellucid.checkpoint import CONFIG, README, WEIGHTS, load_model
from pellucid.errors import UserError

NAMES = sorted([CONFIG, README, WEIGHTS])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class FakeHub:
    """The two calls of the hub's API that an upload makes; models are kept as folders, as the hub does."""

    def __init__(self, folder: Path, error: Exception | None = None) -> None:
        self.folder, self.error, self.calls = folder, error, []

    def __call__(self, token: str | None = None) -> "FakeHub":
        self.calls.append(("token", token))
        return self

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> str:
        if self.error:
            raise self.error
        self.calls.append(("create_repo", repo_id, private, exist_ok))
        return f"https://hub.example/{repo_id}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        self.calls.append(("upload_folder", repo_id, commit_message))
        shutil.copytree(folder_path, self.folder / repo_id)

    def snapshot_download(self, name: str, **options) -> str:
        self.calls.append(("download", name, options["local_files_only"]))
        return str(self.folder / name)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHub:
    fake = FakeHub(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.HfApi", fake)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fake.snapshot_download)
    monkeypatch.setattr("pellucid.hub.hub_reachable", lambda: True)
    monkeypatch.setattr("pellucid.hub_access.hub_reachable", lambda: True)
    return fake


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No offline mode, no proxy."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    return monkeypatch


def test_a_stored_model_is_saved_to_the_byte(tmp_path: Path) -> None:
    folder = pellucid.save_pretrained("bundled", tmp_path / "model")
    bundled = Path(pellucid.__file__).parent / "bundled"
    assert folder == tmp_path / "model"
    assert names(folder) == NAMES
    assert all((folder / name).read_bytes() == (bundled / name).read_bytes() for name in (WEIGHTS, CONFIG))
    assert "# A Pellucid model" in (folder / README).read_text()


def test_a_network_with_its_metadata_is_saved(tmp_path: Path) -> None:
    network, metadata = load_model(None, "cpu")
    folder = pellucid.save_pretrained((network, metadata), tmp_path / "model")
    again, same = load_model(folder, "cpu")
    assert same == metadata
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="Expected to write"):
        pellucid.save_pretrained("bundled", tmp_path)
    assert names(tmp_path) == ["notes.txt"]


def test_what_does_not_load_is_not_saved(tmp_path: Path) -> None:
    folder = pellucid.save_pretrained("bundled", tmp_path / "model")
    (folder / WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(UserError, match="can't be read"):
        pellucid.save_pretrained(folder, tmp_path / "copy")
    assert names(tmp_path) == ["model"]


def test_what_is_uploaded_loads_again(hub: FakeHub) -> None:
    url = pellucid.push_to_hub("bundled", "me/pets", token="secret")
    assert url == "https://hub.example/me/pets"
    assert hub.calls == [
        ("token", "secret"),
        ("create_repo", "me/pets", True, True),
        ("upload_folder", "me/pets", "Upload a Pellucid model"),
    ]
    assert names(hub.folder / "me/pets") == NAMES
    card = (hub.folder / "me/pets" / README).read_text()
    assert 'predictor = pellucid.from_pretrained("me/pets")' in card
    assert card.index("## Use") < card.index("## Figures")
    predictor = pellucid.from_pretrained("me/pets", device="cpu", batch_size=3)
    assert hub.calls[-1] == ("download", "me/pets", False)
    assert isinstance(predictor, pellucid.Predictor)
    assert (predictor.classes[0], predictor.batch_size) == ("airplane", 3)


def test_a_model_is_private_unless_told_otherwise(hub: FakeHub) -> None:
    pellucid.push_to_hub("bundled", "me/open", private=False)
    assert hub.calls[1] == ("create_repo", "me/open", False, True)


@pytest.mark.parametrize("error", ["HfHubHTTPError", "LocalTokenNotFoundError", "the transport"])
def test_what_the_hub_refuses_is_a_sentence(hub: FakeHub, error: str) -> None:
    from huggingface_hub import errors

    if error == "HfHubHTTPError":
        hub.error = errors.HfHubHTTPError.__new__(errors.HfHubHTTPError)
        hub.error.args = ("401 Client Error.\n\nInvalid user token.",)
    else:
        kind = errors.HfHubHTTPError.__bases__[0] if error == "the transport" else errors.LocalTokenNotFoundError
        hub.error = kind("cut off")
    with pytest.raises(UserError, match=r"Expected to upload me/pets .* found that it refused: .*hf auth login") as raised:
        pellucid.push_to_hub("bundled", "me/pets")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["a/b/c", "me/..", "me/ pets", ""])
def test_a_name_that_the_hub_does_not_know_is_a_sentence(hub: FakeHub, name: str) -> None:
    with pytest.raises(UserError, match="owner/name"):
        pellucid.push_to_hub("bundled", name)
    assert not hub.calls


def test_offline_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"no connection .* save_pretrained"):
        pellucid.push_to_hub("bundled", "me/pets")


@pytest.mark.parametrize("silent", ["lookup", "host"])
def test_a_network_that_is_silent_is_known_within_two_seconds(elsewhere: pytest.MonkeyPatch, tmp_path: Path, silent: str) -> None:
    """Neither the lookup of a name nor a connection ends."""
    elsewhere.setenv("HF_HUB_CACHE", str(tmp_path))
    over = threading.Event()

    def wait(*_, **__) -> None:
        over.wait(30)
        raise OSError("no network")

    elsewhere.setattr("socket.getaddrinfo" if silent == "lookup" else "socket.create_connection", wait)
    assert not hub_access.hub_reachable()  # imports the hub's client
    start = time.monotonic()
    with pytest.raises(UserError, match="can't be reached, nor is it in the hub's cache"):
        hub_access.download("pellucid-tests/no-such-model", [WEIGHTS])
    assert time.monotonic() - start < 2
    over.set()


def test_a_hub_that_answers_is_reached(elsewhere: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        elsewhere.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")
        assert hub_access.hub_reachable()
        elsewhere.setattr("huggingface_hub.constants.ENDPOINT", "https://hub.invalid")
        elsewhere.setattr("urllib.request.getproxies", lambda: {"https": f"127.0.0.1:{port}"})
        elsewhere.setattr("urllib.request.proxy_bypass", lambda host: False)
        assert hub_access.hub_reachable()
        elsewhere.setattr("urllib.request.proxy_bypass", lambda host: True)
        elsewhere.setattr("urllib.request.getproxies", lambda: {"https": "http://127.0.0.1:none"})
        assert not hub_access.hub_reachable()


def test_without_a_network_the_cache_is_used(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    pellucid.push_to_hub("bundled", "me/pets")
    monkeypatch.setattr("pellucid.hub_access.hub_reachable", lambda: False)
    assert load_model("me/pets", "cpu")[1].classes[0] == "airplane"
    assert hub.calls[-1] == ("download", "me/pets", True)


def test_the_card_of_an_old_model_is_written_again(tmp_path: Path) -> None:
    """A model out of the hub's cache has no card: it is not downloaded."""
    folder = pellucid.save_pretrained("bundled", tmp_path / "model")
    (folder / README).unlink()
    assert json.loads((pellucid.save_pretrained(folder, tmp_path / "copy") / CONFIG).read_text())["format"] == 1
    assert (tmp_path / "copy" / README).is_file()
