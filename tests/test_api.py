"""The public front: what `import pellucid` gives, and what it costs."""

import json
import pkgutil
import subprocess
import sys
from importlib.metadata import version

import pytest

import pellucid


def after(code: str) -> str:
    """What `code` prints in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def loaded(code: str) -> set[str]:
    return set(json.loads(after(f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))")))


@pytest.mark.parametrize("use", ["", "dir(pellucid)", "pellucid.__version__, pellucid.SUITES, pellucid.TRACKS, pellucid.RECIPES"])
def test_the_front_loads_nothing_heavy(use: str) -> None:
    assert not loaded(f"import pellucid\n{use}") & {"torch", "lightning_fabric", "timm", "cv2", "matplotlib"}


def test_a_predictor_needs_no_training() -> None:
    modules = loaded("import pellucid; pellucid.load()")
    assert "torch" in modules
    assert not {name for name in modules if name.startswith(("lightning", "pellucid.training", "matplotlib"))}


def test_the_predictor_alone_needs_no_torch() -> None:
    assert "torch" not in loaded("import pellucid; pellucid.Predictor; pellucid.load")


@pytest.mark.parametrize("name", pellucid.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(pellucid, name) is getattr(pellucid, name)
    assert name in dir(pellucid)


def test_names_are_what_they_say() -> None:
    from pellucid.evaluation.evaluate import evaluate
    from pellucid.inference import Predictor
    from pellucid.run import run

    assert pellucid.__version__ == version("pellucid")
    assert pellucid.train is run
    assert pellucid.evaluate is evaluate
    assert pellucid.Predictor is Predictor


def test_no_public_name_is_a_submodule_too() -> None:
    """Importing a submodule would put it in the place of a function of that name."""
    assert not set(pellucid.__all__) & {module.name for module in pkgutil.iter_modules(pellucid.__path__)}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pellucid' has no attribute 'restore'"):
        _ = pellucid.restore
    assert not hasattr(pellucid, "__wrapped__")
