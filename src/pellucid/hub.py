"""Models to and from folders and the Hugging Face hub.

    import pellucid

    predictor = pellucid.from_pretrained("runs/mine")         # or owner/name on the hub, or nothing: the bundled model
    pellucid.save_pretrained("runs/mine", "pets")             # a folder to share: weights, configuration, card
    pellucid.push_to_hub("runs/mine", "owner/pets")           # the same on the hub, private by default

`from_pretrained` is `Predictor.load`, under the name that is usual for models on the hub.

A model to save is what `load_model` takes (a folder, that of a run, owner/name on the hub, `bundled`), or the pair that it returns.

>>> import pellucid
>>> import tempfile
>>> from pathlib import Path
>>> folder = save_pretrained("bundled", Path(tempfile.mkdtemp()) / "model")
>>> sorted(path.name for path in folder.iterdir())
['README.md', 'config.json', 'model.safetensors']
>>> pellucid.from_pretrained(folder, device="cpu").classes[:3]
('airplane', 'automobile', 'bird')
"""

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.checkpoint import ModelMetadata, load_model, model_card, save_model
from pellucid.errors import UserError
from pellucid.files import atomic_write
from pellucid.hub_access import hub_reachable, transport_error
from pellucid.model_folder import CONFIG, README, WEIGHTS, find_model

if TYPE_CHECKING:
    from torch import nn

NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
"""Names of models on the hub."""


def save_pretrained(model: "str | Path | tuple[nn.Module, ModelMetadata]", folder: str | Path) -> Path:
    """Save a model into `folder` and return that: `model.safetensors`, `config.json` and a model card, `README.md`.

    `load_model`, `Predictor.load` and `from_pretrained` read the folder. A stored model keeps the precision of its weights.

    Args:
        model: a stored model, or a network with its metadata, as `load_model` returns them.
        folder: a new or an empty one; nothing is overwritten.

    Raises:
        UserError: the model is not valid, or the folder can't be written.
    """
    folder = Path(folder)
    if isinstance(model, tuple):
        save_model(folder, *model)
        return folder
    source = find_model(model)
    _, metadata = load_model(source, "cpu")  # a model that can't be loaded is not shared
    with atomic_write(folder) as path:
        path.mkdir()
        for name in (WEIGHTS, CONFIG):
            shutil.copyfile(source / name, path / name)
        (path / README).write_text(model_card(metadata), "utf-8")
    return folder


def push_to_hub(
    model: "str | Path | tuple[nn.Module, ModelMetadata]",
    repo_id: str,
    *,
    private: bool = True,
    token: str | None = None,
    message: str = "Upload a Pellucid model",
) -> str:
    """Upload a model to the Hugging Face hub, as a new model or a new version of one, and return its address.

    The configuration has every setting of the training, including the paths of its pictures.

    Args:
        model: a stored model, or a network with its metadata, as `load_model` returns them.
        repo_id: `owner/name`.
        private: whether a new model is visible to its owner alone; an existing one stays as visible as it is.
        token: one with the right to write; without it that of `hf auth login` or of `$HF_TOKEN`.
        message: the commit message.

    Raises:
        UserError: the model is not valid, the hub can't be reached (within two seconds), or it refuses the token or the name.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    if not NAME.fullmatch(repo_id):
        raise UserError(
            f"Expected the name of a model on the hub as owner/name, found {repo_id!r}; choose one of letters, digits, -, _ and ."
        )
    if not hub_reachable():
        raise UserError(
            "Expected to reach the Hugging Face hub, found no connection to it (no network, or its offline mode); "
            "save the model with save_pretrained, and upload it from a machine that has one."
        )
    with tempfile.TemporaryDirectory() as temporary:
        folder = save_pretrained(model, Path(temporary) / "model")
        card = folder / README
        card.write_text(card.read_text("utf-8").replace("\n## Figures\n", f"\n{_use(repo_id)}\n## Figures\n", 1), "utf-8")
        api = HfApi(token=token)
        try:
            url = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message)
        except (HfHubHTTPError, LocalTokenNotFoundError, transport_error(), OSError, ValueError) as error:  # ValueError: a name or a card
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(
                f"Expected to upload {repo_id} to the Hugging Face hub, found that it refused: {reason}; check the name, and give a token "
                "that may write there ('hf auth login', or token=)."
            ) from error
    return str(url)


def _use(repo_id: str) -> str:
    return f"""## Use

```python
import pellucid

predictor = pellucid.from_pretrained("{repo_id}")
[prediction] = predictor.predict([picture])  # uint8, (H, W, 3), RGB
```
"""
