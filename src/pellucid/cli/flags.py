"""The flags of each command, its usage line and an example."""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser

from pellucid.cli.commands import COMMANDS, INSPECT
from pellucid.cli.parser import Parser, SettingsFile, read_settings
from pellucid.degradations import SUITES
from pellucid.evaluation import TRACKS
from pellucid.experiments.comparison import QUESTIONS
from pellucid.recipe import RECIPES, Recipe, settings

DEFAULT_RECIPE = "quick"

BENCHED = ["torch", "onnx", "openvino", "onnx-int8", "openvino-int8"]
"""Engines that `bench` compares."""

MODEL = "folder of a model or of a run, name of a model on the Hugging Face hub, or 'bundled'"
ANY_MODEL = "folder of a model or of a run, exported model, name on the Hugging Face hub, or 'bundled'"
DATA = "name, folder or table of the images; the data that the model was trained on by default"
SOURCE = "path of the data set's files, instead of downloading them"
LIMIT = "measure the first N images only"
MIRROR = "test-time augmentation by horizontal flips: slightly better, for twice the time"

SHORT: dict[str, tuple[type, str]] = {
    "epochs": (float, "passes over the training images: short for --training.epochs"),
    "batch_size": (int, "images of one step: short for --training.batch_size"),
    "seed": (int, "seed of the weights, the order, the crops and the damage: short for --training.seed"),
    "max_minutes": (float, "time limit of the training, to which the schedule is shortened: short for --training.max_minutes"),
}
"""Settings of the training with a short flag: type and help."""

EXAMPLES = {
    "demo": "demo --out runs/demo",
    "train": "train --recipe base --epochs 8 --seed 1 --out runs/mine",
    "compare": "compare reference --recipe base --epochs 4 --arms classify restore joint --seeds 3 --jobs 2",
    "evaluate": "evaluate runs/mine --track noise --json noise.json",
    "report": "report runs/mine",
    "predict": "predict photos/ scan.png --out restored --model runs/mine",
    "damage": "damage photo.jpg --suite art --out grid.png",
    "app": "app runs/mine --port 8080 --no-page",
    "data": "data inspect photos/",
    "export": "export runs/mine --format onnx --out mine.onnx",
    "bench": "bench runs/mine --formats torch onnx --batch-sizes 1 64",
}
"""An example call of each command."""

USAGE = {
    "demo": "demo [options]",
    "train": "train [--recipe NAME] [--config FILE] [--out DIR] [--SETTING VALUE ...] [options]",
    "compare": "compare QUESTION [--recipe NAME] [--config FILE] [--out DIR] [--seeds N] [--SETTING VALUE ...] [options]",
    "evaluate": "evaluate MODEL [--track NAME] [--json FILE] [options]",
    "report": "report RUN [--track NAME] [--limit N] [options]",
    "predict": "predict PATHS... --out DIR [--model MODEL] [options]",
    "damage": "damage PATHS... --suite NAME --out FILE [--seed N] [options]",
    "app": "app [MODEL] [--host HOST] [--port PORT] [--workers N --no-page] [options]",
    "data": "data {NAME [--source PATH] | inspect PATH}",
    "export": "export MODEL --format {onnx,openvino,web} --out PATH [--int8] [options]",
    "bench": "bench MODEL [--formats NAMES] [--batch-sizes N ...] [--sizes N ...] [options]",
}
"""The usage line of each command; jsonargparse's own would list all settings of a recipe before every error."""


def command_parser(command: str, arguments: Sequence[str]) -> ArgumentParser:
    """The parser of one command; its flags are the parameters of the command's function."""
    parser = Parser(description=summary(command), usage=f"pellucid {USAGE[command]}", epilog=f"example: pellucid {EXAMPLES[command]}")
    if command not in arguments:
        return parser  # only its name is needed, for the overview
    from pellucid.data import DATASETS

    add = parser.add_argument
    match command:
        case "demo":
            add("--out", type=Path, default=Path("runs/demo"), help="folder of the run; must be new or empty")
            add("--resume", action="store_true", help="resume a stopped demo")
        case "train":
            recipe = _add_recipe(parser, arguments, list(SHORT))
            add("--out", type=Path, default=Path("runs") / recipe, help="folder of the run; must be new or empty unless resumed")
            add("--resume", action="store_true", help="resume a stopped run of the same recipe in this folder")
            add("--devices", type=int, default=1, help="number of devices")
            add("--restorer", type=Path, metavar="MODEL", help="trained restorer of the architecture 'sequential'")
        case "compare":
            add(
                "question",
                choices=list(QUESTIONS),
                help="what is compared: " + "; ".join(f"{name}: {of[0]}" for name, of in QUESTIONS.items()),
            )
            _add_recipe(parser, arguments, ["epochs", "batch_size"])
            add("--out", type=Path, help="folder of the comparison, runs/compare/QUESTION by default; must be new or empty unless resumed")
            add("--resume", action="store_true", help="resume a comparison in this folder; finished runs are kept, others may be added")
            add("--seeds", type=int, metavar="N", help="number of trainings of each arm, 3 by default, 1 for each fold with --folds")
            add("--arms", nargs="+", metavar="ARM", help="only these arms, of those that the protocol describes (docs/protocol.md)")
            add("--tracks", nargs="+", metavar="TRACK", choices=list(TRACKS), help="the damage to measure on; see the protocol")
            add(
                "--tune",
                nargs=3,
                action="append",
                default=[],
                metavar=("ARM", "SETTING", "VALUE"),
                help="a setting of one arm: joint training.learning_rate 0.17; may be repeated",
            )
            add("--vary", nargs="+", metavar=("SETTING", "VALUE"), help="compare at each value of a setting: training.epochs 2 4 8")
            add(
                "--folds",
                type=int,
                metavar="N",
                help="cross-validation on pictures of your own: train N times without one part of N, and evaluate on that part",
            )
            add(
                "--reuse",
                nargs="+",
                type=Path,
                default=[],
                metavar="DIR",
                help="folders of other comparisons: their finished runs with the same recipe and seed count here",
            )
            add("--jobs", type=int, default=1, metavar="N", help="number of concurrent runs, each with its share of the cores")
            add("--report-only", action="store_true", help="report the finished runs, without training")
        case "evaluate":
            add("model", help=MODEL)
            add("--track", choices=list(TRACKS), default="reference", help="the damage; see the protocol")
            add("--json", type=Path, metavar="FILE", help="JSON file to write the figures to, with their provenance")
            add("--csv", type=Path, metavar="FILE", help="file to write the table to, a row for each level of the damage")
            add("--data", metavar="DATA", help=DATA)
            add("--source", type=Path, help=SOURCE)
            add("--limit", type=int, metavar="N", help=LIMIT)
            add("--mirror", action="store_true", help=MIRROR)
            add("--raw", action="store_true", help="measure the network's own outputs, without the temperature and the gate of predict")
        case "report":
            add("run", type=Path, help="folder of a finished run, in which report.html, report.md and evaluation.json are written")
            add("--track", choices=list(TRACKS), help="the damage; by default that of the training, or 'reference'")
            add("--data", metavar="DATA", help=DATA)
            add("--source", type=Path, help=SOURCE)
            add("--limit", type=int, metavar="N", help=LIMIT)
        case "predict":
            add("paths", nargs="+", type=_path, metavar="PATHS", help="picture and video files, and folders of them")
            add("--out", type=Path, required=True, metavar="DIR", help="folder for restored/, masks/, predictions.jsonl, contact sheet")
            add("--model", default="bundled", help=ANY_MODEL)
            add("--force", action="store_true", help="write into a folder that has files in it")
            add("--resume", action="store_true", help="continue an interrupted call with this folder")
            add("--mirror", action="store_true", help=MIRROR)
            add("--abstain-below", type=float, default=0.0, metavar="P", help="minimum probability of a class to be reported, such as 0.7")
            add("--second-look", action="store_true", help="alarm if the restored picture is classified differently; for twice the time")
            add("--uncertainty", action="store_true", help="write uncertainty/: the estimated error of each pixel, in grey")
            add("--no-gate", action="store_true", help="also restore pictures that are found undamaged")
        case "damage":
            add("paths", nargs="+", type=_path, metavar="PATHS", help="picture files, and folders of them")
            add("--suite", choices=list(SUITES), required=True, help="the damage")
            add("--out", type=Path, required=True, metavar="FILE", help="picture to write the grid to; must be new")
            add("--save", type=Path, metavar="DIR", help="folder for the damaged versions at full size; must be new or empty")
            add("--seed", type=int, default=0, metavar="N", help="of the samples")
            add("--draws", type=int, default=5, metavar="N", help="damaged versions of each picture")
            add("--force", action="store_true", help="replace an existing grid and existing files")
        case "app":
            _add_server(parser)
        case "data":
            add("dataset", choices=[*DATASETS, INSPECT], help="data set: 'shapes' is synthetic, the others are downloaded; or 'inspect'")
            add("path", nargs="?", type=Path, help="with 'inspect': a folder of pictures, or a table of them")
            add("--source", type=Path, help="folder or archive that holds the files, if they are not to be downloaded")
        case "export":
            add("model", help=MODEL)
            formats = ["onnx", "openvino", "web"]
            add("--format", choices=formats, required=True, help="a file for ONNX Runtime, a folder for OpenVINO, or one with a page")
            add("--out", type=Path, required=True, metavar="PATH", help="file *.onnx or folder to write; must be new")
            add("--int8", action="store_true", help="8-bit convolutions; refused if they cost more than 0.3 points or 0.2 dB")
            add("--force", action="store_true", help="replace an existing target, and accept any loss of int8")
            add("--data", metavar="DATA", help="name, folder or table of the images for int8; those of the training by default")
            add("--source", type=Path, help=SOURCE)
            add("--runtime", type=Path, metavar="FILE", help="for web: npm's archive of onnxruntime-web, where there is no network")
        case "bench":
            add("model", help=ANY_MODEL)
            add("--formats", nargs="+", metavar="NAME", choices=BENCHED, help=f"of {', '.join(BENCHED)}; those installed by default")
            add("--batch-sizes", type=int, nargs="+", metavar="N", default=[1, 64], help="images of one batch")
            add("--sizes", type=int, nargs="+", metavar="N", default=[32, 256], help="sides of the images in pixels")
            add("--seconds", type=float, default=1.0, metavar="N", help="time for each figure")
            add("--json", type=Path, metavar="FILE", help="JSON file to write the figures to, with their provenance")
    if command not in ("damage", "data", "export", "bench"):
        add("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser


def _path(text: str) -> Path:
    """A path as it is given; the parser reads values of type `Path` as YAML, which has no names that are not UTF-8."""
    return Path(text)


def _add_server(parser: ArgumentParser) -> None:
    from pellucid.serving.settings import TOKEN, Limits, ServerSettings

    add = parser.add_argument
    add("model", nargs="?", default="bundled", help=ANY_MODEL)
    add("--host", default=ServerSettings.host, help="address to listen on; a public one needs a token")
    add("--port", type=int, default=ServerSettings.port, help="0 for any free port")
    add("--workers", type=int, default=1, metavar="N", help="processes, each with the model; several need --no-page")
    add("--token", help=f"required in requests, as Bearer or as a password; safer in ${TOKEN}, since flags show in the list of processes")
    add("--open-to-all", action="store_true", help="serve without a token on a public address")
    add("--no-page", action="store_true", help="only the API")
    add("--max-bytes", type=int, default=Limits.max_bytes, metavar="N", help="largest body of a request, in bytes")
    add("--max-pixels", type=int, default=Limits.max_pixels, metavar="N", help="largest picture, in pixels")
    add("--max-pictures", type=int, default=Limits.max_pictures, metavar="N", help="pictures of a request")
    add("--max-in-flight", type=int, default=Limits.max_in_flight, metavar="N", help="requests at a time, for each worker")
    add("--timeout", type=float, default=Limits.timeout, metavar="SECONDS", help="for reading a request, and for the response")
    add("--mirror", action="store_true", help=MIRROR)


def _add_recipe(parser: ArgumentParser, arguments: Sequence[str], short: Sequence[str]) -> str:
    """Add the settings of a recipe as flags, some of them with a short form; returns the name of the recipe with the default values.

    Without `max_minutes` among the short forms, the recipe's time limit is removed, and no images are held out: a comparison counts steps,
    and evaluates networks, without a temperature, on test images.
    """
    name = _named_recipe(arguments)
    recipe = RECIPES[name]
    parser.add_argument("--recipe", choices=list(RECIPES), default=name, help="settings to start from")
    parser.add_argument("--config", action=SettingsFile, help="YAML file of settings, as --print_config shows them; flags go over it")
    for setting in short:
        kind, message = SHORT[setting]
        parser.add_argument(f"--{setting.replace('_', '-')}", type=kind, metavar="N", help=message)
    if "max_minutes" not in short:
        data = replace(recipe.data, validation=0, validation_share=0.0)
        recipe = replace(recipe, data=data, training=replace(recipe.training, max_minutes=0.0))
    parser.add_class_arguments(Recipe)
    for action in parser._actions:
        if "--data" in action.option_strings:  # which `parse` reads so, where the parser would have a file of settings
            action.help, action.metavar = "data set, or folder or table of pictures: short for --data.dataset", "DATA"
    parser.set_defaults(settings(recipe))
    return name


def _named_recipe(arguments: Sequence[str]) -> str:
    """The name of the recipe in --recipe or in the file of --config; needed before the parser is built, since it sets the defaults."""
    import yaml

    known = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    known.add_argument("--recipe")
    known.add_argument("--config", action="append", default=[])
    named, _ = known.parse_known_args(arguments)
    for file in [] if named.recipe else named.config:
        with suppress(OSError, TypeError):  # the parser proper reports a file that can't be read
            content = yaml.safe_load(read_settings(Path(file)))
            named.recipe = content.get("recipe") if isinstance(content, dict) else None
    return named.recipe if named.recipe in RECIPES else DEFAULT_RECIPE


def summary(command: str) -> str:
    """The first sentence of a command's docstring."""
    return (COMMANDS[command].__doc__ or "").split("\n\n")[0]
