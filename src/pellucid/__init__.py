"""Pellucid: one network that restores and classifies damaged images.

    import pellucid

    predictor = pellucid.load()  # the bundled model, a folder, a name on the Hugging Face hub, or an exported model
    for prediction in predictor.predict(pictures):  # uint8 arrays (H, W, 3) of any sizes
        print(prediction.label, prediction.confidence, prediction.restored.shape)

Names are imported on first use, so that importing the package does not import torch, Lightning or timm.
"""

from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.batch import Batch, Output
    from pellucid.checkpoint import load_model
    from pellucid.degradations import DEGRADATIONS, SUITES
    from pellucid.evaluation import TRACKS
    from pellucid.evaluation.evaluate import evaluate
    from pellucid.hub import push_to_hub, save_pretrained
    from pellucid.inference import Prediction, Predictor
    from pellucid.recipe import RECIPES, Recipe
    from pellucid.run import run as train

    __version__: str
    from_pretrained = load = Predictor.load

__all__ = ["DEGRADATIONS", "RECIPES", "SUITES", "TRACKS", "Batch", "Output", "Prediction", "Predictor", "Recipe", "__version__"]
__all__ += ["evaluate", "from_pretrained", "load", "load_model", "push_to_hub", "save_pretrained", "train"]

# public name -> module, name in the module
_HOMES = {
    "Batch":        ("batch", "Batch"),
    "DEGRADATIONS": ("degradations", "DEGRADATIONS"),
    "Output":       ("batch", "Output"),
    "Prediction":   ("inference", "Prediction"),
    "Predictor":    ("inference", "Predictor"),
    "RECIPES":      ("recipe", "RECIPES"),
    "Recipe":       ("recipe", "Recipe"),
    "SUITES":       ("degradations", "SUITES"),
    "TRACKS":       ("evaluation", "TRACKS"),
    "evaluate":     ("evaluation.evaluate", "evaluate"),
    "load":         ("inference", "Predictor.load"),
    "from_pretrained": ("inference", "Predictor.load"),
    "load_model":   ("checkpoint", "load_model"),
    "push_to_hub":  ("hub", "push_to_hub"),
    "save_pretrained": ("hub", "save_pretrained"),
    "train":        ("run", "run"),  # not `run`: importing the module of that name would overwrite it
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """A public name on its first use (PEP 562)."""
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version("pellucid")
    elif name in _HOMES:
        module, original = _HOMES[name]
        value = attrgetter(original)(import_module(f"pellucid.{module}"))
    else:
        raise AttributeError(f"module 'pellucid' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return __all__
