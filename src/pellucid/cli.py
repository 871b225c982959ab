"""The command line: typed functions in one dict, their docstrings the help. Torch is imported when a command runs, not before."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from pellucid.errors import UserError
from pellucid.evaluation import PROTOCOL_SEED, TRACKS
from pellucid.experiments.comparison import QUESTIONS, ask
from pellucid.recipe import RECIPES, Recipe, settings

if TYPE_CHECKING:
    from rich.console import RenderableType
    from torch import nn

    from pellucid.checkpoint import Description
    from pellucid.data import Dataset
    from pellucid.evaluation.evaluate import Evaluation

DEFAULT_RECIPE = "quick"

STOPPED = 130
"""Exit status after Ctrl-C, as shells have it."""


def demo(out: Path, resume: bool, device: str) -> None:
    """Get CIFAR-10, train recipe `quick` (five minutes on two CPU cores), measure it and write a report."""
    from pellucid import data
    from pellucid.evaluation.classical import CLASSICAL
    from pellucid.evaluation.evaluate import measure
    from pellucid.reporting import write_report
    from pellucid.reporting.scores import shortfall
    from pellucid.run import run

    network, description = run(RECIPES["quick"], out, resume=resume, device=device)
    test = data.load("cifar10").test
    evaluation = _measure(network, description, test, "reference")
    best_untrained = "inpainting, then means"
    references = {best_untrained: measure(CLASSICAL[best_untrained], test, TRACKS["reference"], limit=1000)}
    others = {"references": {name: other.to_json() for name, other in references.items()}}
    _write_json(out / "evaluation.json", evaluation.to_json() | others | _origin(network, description))
    report = write_report(out, network, description, test, evaluation, references)
    _print(evaluation.table())
    if warning := shortfall(evaluation, references):
        _print(warning)
    _print(
        f"The report: {report}\n"
        f"Restore and name your own pictures: pellucid predict PICTURES... --out restored --model {out}\n"
        f"Measure on other damage:            pellucid evaluate {out} --track noise\n"
        "Train longer, for a better model:   pellucid train --recipe base --out runs/base"
    )


def train(recipe: Recipe, out: Path, resume: bool, device: str, devices: int, restorer: Path | None) -> None:
    """Train a network by a recipe; a flag or a YAML file changes any setting of it."""
    from pellucid import data
    from pellucid.run import run, training_images

    network, description = run(recipe, out, resume=resume, device=device, devices=devices, restorer=restorer)
    if int(os.environ.get("LOCAL_RANK", 0)):
        return  # one of several processes speaks for all
    _, held_out = training_images(recipe, data.load(recipe.data.dataset, recipe.data.source).train)
    if held_out is not None:
        _print(_measure(network, description, held_out, "reference").table())
    _print(f"The model: {out / 'model'}\nMeasure it: pellucid evaluate {out} --track reference")


def compare(
    question: str,
    recipe: Recipe,
    out: Path | None,
    seeds: int,
    arms: list[str] | None,
    tracks: list[str] | None,
    vary: list[str] | None,
    jobs: int,
    report_only: bool,
    device: str,
) -> None:
    """Train and measure several arms with several seeds, and report with intervals which does better."""
    for name, number in (("seeds", seeds), ("jobs", jobs)):
        if number < 1:
            raise UserError(f"Expected {name} of at least 1, found {number}.")
    out = out or Path("runs") / "compare" / question
    comparison = ask(question, recipe).only(arms, tracks)
    from pellucid.experiments import compare as experiments  # only now, because it takes a while

    workers = 0 if report_only else jobs
    if vary:
        setting, *values = vary
        curve = experiments.compare_at_values(comparison, setting, values, range(seeds), out, device=device, workers=workers)
        _print(f"The curve: {curve}")
    else:
        results = experiments.compare(comparison, range(seeds), out, device=device, workers=workers)
        _print(experiments.summary(results))
        _print(f"The report: {out / experiments.REPORT}")


def evaluate(
    model: str, track: str, json: Path | None, dataset: str, source: Path | None, limit: int | None, mirror: bool, device: str
) -> None:
    """Measure a model on a track of the protocol, on the test images of a data set."""
    from pellucid import data
    from pellucid.checkpoint import load_model
    from pellucid.files import folder
    from pellucid.models.mirrored import Mirrored

    if limit is not None and limit < 1:
        raise UserError(f"Expected a limit of at least 1 image, found {limit}.")
    if json is not None:
        folder(json.parent)  # a place that can't be written should be known before the measuring
    network, description = load_model(model, device)
    test = data.load(dataset, source).test
    if test.classes != description.classes:
        raise UserError(
            f"Expected images of the classes that the model knows ({', '.join(description.classes)}), found those of {dataset} "
            f"({', '.join(test.classes)}); choose its own data set by --dataset."
        )
    if mirror:
        network = Mirrored(network)
    evaluation = _measure(network, description, test, track, limit)
    _print(evaluation.table())
    if json is not None:
        _write_json(json, evaluation.to_json() | {"mirror": mirror} | _origin(network, description))


def predict(paths: list[Path], out: Path, model: str, force: bool, mirror: bool, device: str) -> None:
    """Restore pictures and name what is in them."""
    from pellucid.inference import predict_files

    with _progress("pictures") as progress:
        summary = predict_files(paths, out, model, device, force, progress, mirror)
    _print(str(summary))


def data(dataset: str, source: Path | None) -> None:
    """Get a data set, check it, and keep it in $PELLUCID_HOME (~/.cache/pellucid)."""
    from pellucid import data

    splits = data.load(dataset, source)
    _print(f"{dataset}: {len(splits.train):,} training and {len(splits.test):,} test images, {len(splits.train.classes)} classes.")


def _measure(network: "nn.Module", description: "Description", dataset: "Dataset", track: str, limit: int | None = None) -> "Evaluation":
    """Evaluate with a progress bar."""
    from pellucid.evaluation.evaluate import evaluate

    device = next(network.parameters()).device
    with _progress(f"track {track}") as progress:
        return evaluate(network, dataset, TRACKS[track], limit=limit, device=device, progress=progress, damages=description.damages)


def _origin(network: "nn.Module", description: "Description") -> dict[str, Any]:
    """What is written beside the figures of a network: how they were measured, and how it was trained."""
    from pellucid.provenance import provenance

    training = {"trained": description.trained, "commit": description.commit, "recipe": description.recipe}
    device = next(network.parameters()).device
    return provenance(["pellucid", *sys.argv[1:]], device) | {"protocol_seed": PROTOCOL_SEED, "training": training}


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, and what moves it: a function of how many are done and how many there are."""
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    import json

    from pellucid.files import write_aside

    with write_aside(path) as aside:
        aside.write_text(json.dumps(value, indent=1) + "\n")


def _print(shown: "RenderableType") -> None:
    from rich.console import Console

    Console(soft_wrap=True, markup=False, highlight=False).print(shown)


COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "train": train,
    "compare": compare,
    "evaluate": evaluate,
    "predict": predict,
    "data": data,
}
"""Every command by name; `_command_parser` has their flags."""

MIRROR = "average over each image and its mirror image: a little better, for twice the time"

RESUMABLE = {"demo": "the same command with --resume", "train": "the same command with --resume", "compare": "the same command"}
"""How commands that can be stopped go on."""

USAGE = {
    "demo": "demo [options]",
    "train": "train [--recipe NAME] [--config FILE] [--out DIR] [--SETTING VALUE ...] [options]",
    "compare": "compare QUESTION [--recipe NAME] [--config FILE] [--out DIR] [--seeds N] [--SETTING VALUE ...] [options]",
    "evaluate": "evaluate MODEL [--track NAME] [--json FILE] [options]",
    "predict": "predict PATHS... --out DIR [--model MODEL] [options]",
    "data": "data NAME [--source PATH]",
}
"""How each is called, in short; jsonargparse would list all forty settings of a recipe before every error."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user's mistake is one sentence and exit status 2."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        command, settings = parse(arguments)
        COMMANDS[command](**settings)
    except UserError as error:
        print(f"pellucid: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        again = RESUMABLE.get(arguments[0])
        advice = f"; {again} goes on from here" if again else ""
        print(f"pellucid: stopped{advice}.", file=sys.stderr)
        sys.exit(STOPPED)


def parse(arguments: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The command that the arguments name, and what it is called with."""
    parser = ArgumentParser(prog="pellucid", description="Restore damaged images and say what is in them: one network, one pass.")
    parser.add_argument("--version", action="version", version=f"pellucid {version('pellucid')}")
    subcommands = parser.add_subcommands(required=True, metavar="COMMAND")
    for name in COMMANDS:
        subcommands.add_subcommand(name, _command_parser(name, arguments), help=_summary(name))
    namespace = parser.parse_args(arguments)
    command: str = namespace.subcommand
    values = parser.instantiate(namespace)[command].as_dict()
    if "recipe" in values:
        values.pop("config")
        recipe = Recipe(**{field.name: values.pop(field.name) for field in fields(Recipe)})
        max_minutes = values.pop("max_minutes", None)
        values["recipe"] = recipe if max_minutes is None else replace(recipe, training=replace(recipe.training, max_minutes=max_minutes))
    return command, values


def _command_parser(command: str, arguments: Sequence[str]) -> ArgumentParser:
    """The parser of one command; its flags are the parameters of the command's function."""
    parser = ArgumentParser(description=_summary(command), usage=f"pellucid {USAGE[command]}")
    if command not in arguments:
        return parser  # named in the overview, and never parsed: its flags would only cost time
    from pellucid.data import DATASETS

    add = parser.add_argument
    match command:
        case "demo":
            add("--out", type=Path, default=Path("runs/demo"), help="folder of the run; must be new or empty")
            add("--resume", action="store_true", help="go on with a demo that was stopped")
        case "train":
            recipe = _add_recipe(parser, arguments)
            add("--out", type=Path, default=Path("runs") / recipe, help="folder of the run; must be new or empty unless resumed")
            add("--resume", action="store_true", help="go on where a stopped run of the same recipe in this folder was")
            add("--devices", type=int, default=1, help="how many devices to train on")
            add("--restorer", type=Path, metavar="MODEL", help="trained restorer whose images an arm 'sequential' reads")
        case "compare":
            add("question", choices=list(QUESTIONS), help="what to ask: " + "; ".join(f"{name}: {of[0]}" for name, of in QUESTIONS.items()))
            _add_recipe(parser, arguments, by_clock=False)
            add("--out", type=Path, help="folder of the comparison, runs/compare/QUESTION by default; finished runs in it are kept")
            add("--seeds", type=int, default=3, metavar="N", help="how many times to train every arm; 2 at least for intervals")
            add("--arms", nargs="+", metavar="ARM", help="only these arms")
            add("--tracks", nargs="+", metavar="TRACK", choices=list(TRACKS), help="the damage to measure on; see the protocol")
            add("--vary", nargs="+", metavar=("SETTING", "VALUE"), help="compare at each value of a setting: training.epochs 2 4 8")
            add("--jobs", type=int, default=1, metavar="N", help="how many runs at a time, each with its share of the cores")
            add("--report-only", action="store_true", help="train nothing; report what is there")
        case "evaluate":
            add("model", help="folder of a model or of a run, name of a model on the Hugging Face hub, or 'bundled'")
            add("--track", choices=list(TRACKS), default="reference", help="the damage; see the protocol")
            add("--json", type=Path, metavar="FILE", help="file to write the figures to")
            add("--dataset", choices=list(DATASETS), default="cifar10", help="whose test images")
            add("--source", type=Path, help="where the data set's files lie, if they are not to be downloaded")
            add("--limit", type=int, metavar="N", help="measure the first N images only")
            add("--mirror", action="store_true", help=MIRROR)
        case "predict":
            add("paths", nargs="+", type=Path, metavar="PATHS", help="picture files, and folders of them")
            add("--out", type=Path, required=True, metavar="DIR", help="folder for the restored pictures, predictions.jsonl, contact sheet")
            add("--model", default="bundled", help="folder of a model or of a run, name on the Hugging Face hub, or 'bundled'")
            add("--force", action="store_true", help="write into a folder that has files in it")
            add("--mirror", action="store_true", help=MIRROR)
        case "data":
            add("dataset", choices=list(DATASETS), help="what to get; 'shapes' is drawn, the rest is downloaded")
            add("--source", type=Path, help="folder or archive that holds the files, if they are not to be downloaded")
    if command != "data":
        add("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser


def _add_recipe(parser: ArgumentParser, arguments: Sequence[str], by_clock: bool = True) -> str:
    """Give a parser the settings of a recipe as flags; returns the name of the one that they start from.

    by_clock: whether the clock may end a training; a comparison counts steps.
    """
    recipe = _named_recipe(arguments)
    start = RECIPES[recipe]
    parser.add_argument("--recipe", choices=list(RECIPES), default=recipe, help="settings to start from")
    parser.add_argument("--config", action="config", help="YAML file of settings, as --print_config shows them; flags go over it")
    if by_clock:
        minutes = "end a training by then, its schedule included: short for --training.max_minutes"
        parser.add_argument("--max-minutes", type=float, help=minutes)
    else:
        start = replace(start, training=replace(start.training, max_minutes=0.0))
    parser.add_class_arguments(Recipe)
    parser.set_defaults(settings(start))
    return recipe


def _named_recipe(arguments: Sequence[str]) -> str:
    """The recipe that --recipe or the file of --config names; it has to be known before the parser is built, being its defaults."""
    import yaml

    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    known.add_argument("--recipe")
    known.add_argument("--config", action="append", default=[])
    named, _ = known.parse_known_args(arguments)
    for file in [] if named.recipe else named.config:
        with suppress(OSError, UnicodeError, yaml.YAMLError):  # a file that can't be read is for the parser proper to complain of
            content = yaml.safe_load(Path(file).read_text())
            named.recipe = content.get("recipe") if isinstance(content, dict) else None
    return named.recipe if named.recipe in RECIPES else DEFAULT_RECIPE


def _summary(command: str) -> str:
    """The first sentence of a command's docstring."""
    return (COMMANDS[command].__doc__ or "").split("\n\n")[0]
