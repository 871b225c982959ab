"""The command line: one typed function for each command, whose docstring is its help. Torch is imported only when a command runs."""

import argparse
import difflib
import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from pellucid.degradations import SUITES
from pellucid.errors import UserError
from pellucid.evaluation import PROTOCOL_SEED, TRACKS, own_track
from pellucid.experiments.comparison import QUESTIONS, build_comparison
from pellucid.files import atomic_write, folder, write_json
from pellucid.recipe import RECIPES, Recipe, measured_data, settings
from pellucid.settings import NAMES

if TYPE_CHECKING:
    from rich.console import RenderableType
    from torch import nn

    from pellucid.checkpoint import ModelMetadata
    from pellucid.data import Dataset
    from pellucid.evaluation.evaluate import Evaluation

DEFAULT_RECIPE, INSPECT = "quick", "inspect"

BENCHED = ["torch", "onnx", "openvino", "onnx-int8", "openvino-int8"]
"""Engines that `bench` compares."""

REPORTED = 1000
"""Maximum number of images in the report at the end of a training; `pellucid report` evaluates all."""

STOPPED = 130
"""Exit status after Ctrl-C, as shells have it."""


def demo(out: Path, resume: bool, device: str) -> None:
    """Download CIFAR-10, train recipe `quick` (five minutes on two CPU cores), evaluate it and write a report."""
    from pellucid import data
    from pellucid.evaluation.calibration import as_predicted
    from pellucid.evaluation.classical import CLASSICAL
    from pellucid.evaluation.evaluate import evaluate
    from pellucid.reporting import write_report
    from pellucid.reporting.scores import shortfall
    from pellucid.run import run

    network, metadata = run(RECIPES["quick"], out, resume=resume, device=device)
    test = data.load("cifar10").test
    evaluation = _measure(as_predicted(network, metadata), metadata, test, "reference")
    best_untrained = "inpainting, then means"
    references = {best_untrained: evaluate(CLASSICAL[best_untrained], test, TRACKS["reference"], limit=1000, whole_batch=True)}
    others = {"raw": False, "references": {name: other.to_json() for name, other in references.items()}}
    write_json(out / "evaluation.json", evaluation.to_json() | others | _origin(network, metadata))
    report = write_report(out, network, metadata, test, evaluation, references)
    _print_evaluation(evaluation)
    if warning := shortfall(evaluation, references):
        _print(warning)
    _print(
        f"The report: {report}\n"
        f"Restore and name your own pictures: pellucid predict PICTURES... --out restored --model {out}\n"
        f"Measure on other damage:            pellucid evaluate {out} --track noise\n"
        "Train longer, for a better model:   pellucid train --recipe base --out runs/base"
    )


def train(recipe: Recipe, out: Path, resume: bool, device: str, devices: int, restorer: Path | None) -> None:
    """Train a network by a recipe, whose settings can be changed by flags or a YAML file."""
    if devices < 1:
        raise UserError(f"Expected devices of at least 1, found {devices}.")
    from pellucid.run import run

    splits, first = recipe.data.splits(), not int(os.environ.get("LOCAL_RANK", 0))
    if splits.skipped and first:
        num, example = len(splits.skipped), splits.skipped[0]
        print(f"pellucid: left out {num:,} pictures ({example}); pellucid data inspect {recipe.data.dataset} lists all.", file=sys.stderr)
    network, metadata = run(recipe, out, resume=resume, device=device, devices=devices, restorer=restorer)
    if not first:
        return  # only the first of several processes prints
    track = own_track(metadata.recipe.get("damage"), splits.train.damaged is not None)
    if splits.validation is not None:
        _write_report(out, network, metadata, splits.validation, track, REPORTED)
    elif len(splits.test):
        _write_report(out, network, metadata, splits.test, track, REPORTED)
    if metadata.tasks != "restore" and "temperature" not in metadata.fitted:
        _print(
            "Confidence is not calibrated: that needs at least 50 labelled images that were not trained on, such as --data.validation 200 "
            "holds out."
        )
    _print(f"The model: {out / 'model'}\nMeasure it: pellucid evaluate {out} --track {track}")


def report(run: Path, track: str | None, data: str | None, source: Path | None, limit: int | None, device: str) -> None:
    """Evaluate a run on test images, and write its report: figures, pictures and reliability."""
    if limit is not None and limit < 1:
        raise UserError(f"Expected a limit of at least 1 image, found {limit}.")
    if not (run / "model").is_dir():
        raise UserError(f"Expected the folder of a finished run, with model/ in it, found {run}; train one with 'pellucid train'.")
    from pellucid.checkpoint import load_model

    network, metadata = load_model(run, device)
    test = measured_data(metadata.recipe, data, source).splits().test
    test.require_classes(metadata.classes)
    own = own_track(metadata.recipe.get("damage"), test.damaged is not None)
    _write_report(run, network, metadata, test, track or own, limit)


def compare(
    question: str,
    recipe: Recipe,
    out: Path | None,
    seeds: int | None,
    arms: list[str] | None,
    tracks: list[str] | None,
    vary: list[str] | None,
    folds: int | None,
    jobs: int,
    report_only: bool,
    device: str,
) -> None:
    """Train and evaluate several arms with several seeds, and report their differences with confidence intervals."""
    if vary and folds is not None:
        raise UserError("Expected --vary or --folds, found both; the folds are varied already.")
    seeds = (3 if folds is None else 1) if seeds is None else seeds
    for name, number in (("seeds", seeds), ("jobs", jobs)):
        if number < 1:
            raise UserError(f"Expected {name} of at least 1, found {number}.")
    out = out or Path("runs") / "compare" / question
    if folds is not None and tracks is None:
        tracks = [own_track(settings(recipe)["damage"], recipe.data.splits().train.damaged is not None)]
    comparison = build_comparison(question, recipe).only(arms, tracks)
    from pellucid import compare as comparing  # only now, because it takes a while

    workers = 0 if report_only else jobs
    if folds is not None:
        of_folds = comparing.cross_validate(comparison, folds, range(seeds), out, device=device, workers=workers)
        by_value = {f"fold {fold}": results for fold, results in of_folds.results.items()}
        _print("\n".join(comparing.summary_of_folds(of_folds)))
        _print(f"The report: {out / comparing.REPORT}")
    elif vary:
        setting, *values = vary
        by_value = comparing.compare_at_values(comparison, setting, values, range(seeds), out, device=device, workers=workers)
        _print(f"The curve: {out / comparing.CURVE}.png")
    else:
        results = comparing.compare(comparison, range(seeds), out, device=device, workers=workers)
        by_value = {"": results}
        _print(comparing.summary(results))
        _print(f"The report: {out / comparing.REPORT}")
    failures = [
        f"{arm} with seed {seed}{value and f' at {value}'}: {reason}"
        for value, each in by_value.items()
        for (arm, seed), reason in each.failures.items()
    ]
    if failures:
        print(f"pellucid: {len(failures)} runs failed ({'; '.join(failures)}); the same command tries them again.", file=sys.stderr)
        sys.exit(1)


def evaluate(
    model: str,
    track: str,
    json: Path | None,
    csv: Path | None,
    data: str | None,
    source: Path | None,
    limit: int | None,
    mirror: bool,
    raw: bool,
    device: str,
) -> None:
    """Evaluate the predictions of a model on a track of the protocol, on the test images of a data set."""
    if limit is not None and limit < 1:
        raise UserError(f"Expected a limit of at least 1 image, found {limit}.")
    from pellucid.checkpoint import load_model
    from pellucid.evaluation.calibration import as_predicted
    from pellucid.models.mirrored import Mirrored

    for file in (json, csv):  # an unwritable path should be reported before the evaluation
        if file is not None:
            folder(file.parent)
            if file.is_dir():
                raise UserError(f"Expected a file to write the figures to, found the folder {file}; add a name.")
    network, metadata = load_model(model, device)
    test = measured_data(metadata.recipe, data, source).splits().test
    test.require_classes(metadata.classes)
    if mirror:
        network = Mirrored(network)
    evaluation = _measure(network if raw else as_predicted(network, metadata), metadata, test, track, limit)
    _print_evaluation(evaluation)
    if note := _outputs(metadata, raw):
        _print(note)
    if json is not None:
        calibration = {"temperature": metadata.temperature, "gate": metadata.gate and asdict(metadata.gate)}
        told = {"raw": raw, **calibration, "mirror": mirror}
        write_json(json, evaluation.to_json() | told | _origin(network, metadata))
    if csv is not None:
        _write_csv(csv, [{"track": evaluation.track, "level": level, **row} for level, row in evaluation.rows().items()])


def predict(
    paths: list[Path],
    out: Path,
    model: str,
    force: bool,
    resume: bool,
    mirror: bool,
    abstain_below: float,
    second_look: bool,
    uncertainty: bool,
    no_gate: bool,
    device: str,
) -> None:
    """Restore and classify pictures and videos."""
    import warnings

    from pellucid.inference import predict_files
    from pellucid.progress import ProgressBar

    options: dict[str, Any] = {"abstain_below": abstain_below, "second_look": second_look, "uncertainty": uncertainty, "gate": not no_gate}
    warnings.filterwarnings("ignore", module=r"PIL\.|pydicom\.")  # of metadata that are damaged; what matters becomes an error
    if int(os.environ.get("RANK", 0)):  # only the first of several processes prints
        predict_files(paths, out, model, device, force, None, mirror, resume, **options)
        return
    with ProgressBar("pictures") as progress:
        summary = predict_files(paths, out, model, device, force, progress, mirror, resume, progress.print, **options)
    _print(str(summary))
    if summary.num_failed:
        sys.exit(1)


def damage(paths: list[Path], suite: str, out: Path, save: Path | None, seed: int, draws: int, force: bool) -> None:
    """Apply a damage suite to pictures, and draw a grid of several samples of each."""
    from pellucid.damage import damage_files

    _print(damage_files(paths, suite, out, seed, draws, force, save))


def app(
    model: str,
    host: str,
    port: int,
    workers: int,
    token: str | None,
    open_to_all: bool,
    no_page: bool,
    max_bytes: int,
    max_pixels: int,
    max_pictures: int,
    max_in_flight: int,
    timeout: float,
    mirror: bool,
    device: str,
) -> None:
    """Serve a model: an HTTP API and a web page."""
    from importlib.util import find_spec

    missing = [name for name in ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "gradio") if find_spec(name) is None]
    if set(missing) - ({"gradio"} if no_page else set()):
        raise UserError(f"Expected the packages of the extra 'app', found no {', '.join(missing)}; pip install 'pellucid[app]'.")
    from pellucid.serving.settings import TOKEN, Limits, ServerSettings

    limits = Limits(max_bytes, max_pixels, max_pictures, max_in_flight, timeout)
    token = token or os.environ.get(TOKEN) or None
    settings = ServerSettings(model, host, port, workers, token, open_to_all, not no_page, device, mirror, limits)
    from pellucid.serving.serve import serve

    serve(settings, partial(print, flush=True))  # a reader behind a pipe would otherwise wait until the end


def data(dataset: str, path: Path | None, source: Path | None) -> None:
    """Download a data set to $PELLUCID_HOME (~/.cache/pellucid) and verify it; or inspect a folder or a table of pictures."""
    from pellucid import data
    from pellucid.data.inspect import inspect

    if (dataset == INSPECT) != (path is not None):
        raise UserError(
            "Expected the name of a data set alone, or 'inspect' and a folder or a table of pictures; see pellucid data --help."
        )
    if path is not None:
        findings = inspect(path)
        _print("\n".join(findings.lines()))
        if findings.unreadable:
            sys.exit(1)
        return
    splits = data.load(dataset, source)
    _print(f"{dataset}: {len(splits.train):,} training and {len(splits.test):,} test images, {len(splits.train.classes)} classes.")


def export(
    model: str, format: str, out: Path, int8: bool, force: bool, data: str | None, source: Path | None, runtime: Path | None
) -> None:
    """Write a model for ONNX Runtime or OpenVINO, verified against torch, or as a page that computes in the browser."""
    from pellucid.export import export_model

    _print(str(export_model(model, format, out, int8, force, data, source, runtime, lambda message: print(message, file=sys.stderr))))


def bench(model: str, formats: list[str] | None, batch_sizes: list[int], sizes: list[int], seconds: float, json: Path | None) -> None:
    """Measure images per second and memory of a model in torch, ONNX Runtime and OpenVINO, as ratios in one run."""
    from pellucid.bench import run_benchmark

    results = run_benchmark(model, formats, batch_sizes, sizes, seconds, lambda message: print(message, file=sys.stderr))
    _print(results.table())
    _print(results.notes)
    if json is not None:
        write_json(json, results.to_json(["pellucid", *sys.argv[1:]]))


def _write_report(folder: Path, network: "nn.Module", metadata: "ModelMetadata", dataset: "Dataset", track: str, limit: int | None) -> None:
    """Evaluate a run, print the figures, and write them and the report into its folder."""
    from pellucid.evaluation.calibration import as_predicted
    from pellucid.evaluation.strengths import measure_strengths
    from pellucid.evaluation.trust import measure_trust
    from pellucid.progress import ProgressBar
    from pellucid.reporting import write_report

    evaluation = _measure(as_predicted(network, metadata), metadata, dataset, track, limit)
    device = next(network.parameters()).device
    with ProgressBar("reliability") as progress:
        trust = measure_trust(network, metadata, dataset, TRACKS[track], limit=limit, device=device, progress=progress)
    strengths = trust.by_strength() or measure_strengths(network, metadata, dataset, device)
    figures = {"raw": False, "trust": trust.to_json() | {"strengths": strengths}} | _origin(network, metadata)
    write_json(folder / "evaluation.json", evaluation.to_json() | figures)
    report = write_report(folder, network, metadata, dataset, evaluation, trust=trust, strengths=strengths)
    _print_evaluation(evaluation)
    _print(f"The report: {report}")


def _measure(network: "nn.Module", metadata: "ModelMetadata", dataset: "Dataset", track: str, limit: int | None = None) -> "Evaluation":
    """Evaluate with a progress bar."""
    from pellucid.evaluation.evaluate import evaluate
    from pellucid.progress import ProgressBar

    device = next(network.parameters()).device
    with ProgressBar(f"track {track}") as progress:
        damages, trained, on = metadata.damages, metadata.trained_kinds, TRACKS[track]
        return evaluate(network, dataset, on, limit=limit, device=device, progress=progress, damages=damages, trained=trained)


def _outputs(metadata: "ModelMetadata", raw: bool) -> str:
    """Which outputs were measured, as a note below the figures; empty for a model whose predictions are the network's own outputs."""
    parts = [f"temperature {metadata.temperature:.3g}"] * (metadata.temperature != 1) + ["gate"] * (metadata.gate is not None)
    if raw or not parts:
        return f"Outputs: the network's own, without {' and '.join(parts)}, which predict applies." if parts else ""
    return f"Outputs: as predict gives them, with {' and '.join(parts)}; --raw measures the network's own."


def _origin(network: "nn.Module", metadata: "ModelMetadata") -> dict[str, Any]:
    """The provenance of figures: how they were measured, and how the network was trained."""
    from pellucid.provenance import provenance

    training = {"trained": metadata.trained, "commit": metadata.commit, "recipe": metadata.recipe}
    device = next(network.parameters()).device
    return provenance(["pellucid", *sys.argv[1:]], device) | {"protocol_seed": PROTOCOL_SEED, "training": training}


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    import csv

    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _print_evaluation(evaluation: "Evaluation") -> None:
    _print(evaluation.table())
    _print(evaluation.notes)


def _print(content: "RenderableType") -> None:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    console = Console(soft_wrap=True, markup=False, highlight=False)
    if isinstance(content, Table):  # wrapped lines are better than truncated figures
        console.width = max(console.width, Measurement.get(console, console.options.update(max_width=1_000), content).maximum)
    console.print(content)


COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "train": train,
    "compare": compare,
    "evaluate": evaluate,
    "report": report,
    "predict": predict,
    "damage": damage,
    "app": app,
    "data": data,
    "export": export,
    "bench": bench,
}
"""Every command by name; `_command_parser` has their flags."""

MIRROR = "test-time augmentation by horizontal flips: slightly better, for twice the time"

RESUMABLE = dict.fromkeys(("demo", "train", "predict"), "the same command with --resume") | {"compare": "the same command"}
"""How to resume each command that can be stopped."""

KINDS = {kind.__name__: words for kind, words in NAMES.items()}
"""Names of the parser's types in error messages, as in those of `Settings`."""

SHORT: dict[str, tuple[type, str]] = {
    "epochs": (float, "passes over the training images: short for --training.epochs"),
    "batch_size": (int, "images of one step: short for --training.batch_size"),
    "seed": (int, "of the weights, the order, the crops and the damage: short for --training.seed"),
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; a user's mistake is one sentence and exit status 2."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        command, settings = parse(arguments)
        COMMANDS[command](**settings)
    except UserError as error:
        print(f"pellucid: {error}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("pellucid"):
            raise
        print(
            f"pellucid: Expected the package {error.name} for 'pellucid {arguments[0]}', found it not installed; pip install pellucid with "
            "all that it needs.",
            file=sys.stderr,
        )
        sys.exit(2)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"pellucid: Expected room on the disk, found none ({error.filename or error}); make room, and go on.", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        again = RESUMABLE.get(arguments[0])
        advice = f"; {again} goes on from here" if again else ""
        print(f"pellucid: stopped{advice}.", file=sys.stderr)
        sys.exit(STOPPED)


def parse(arguments: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Parse the command line: the name of the command, and the arguments of its function."""
    if arguments[:1] in (["train"], ["compare"]):  # short, as for evaluate; the parser would read it as a file of settings
        arguments = [re.sub(r"^--data(?=$|=)", "--data.dataset", argument) for argument in arguments]
    parser = _Parser(prog="pellucid", description="Restore and classify damaged images with one network.")
    parser.add_argument("--version", action="version", version=f"pellucid {version('pellucid')}")
    subcommands = parser.add_subcommands(required=True, metavar="COMMAND")
    for name in COMMANDS:
        subcommands.add_subcommand(name, _command_parser(name, arguments), help=_summary(name))
    namespace = parser.parse_args(arguments)
    command: str = namespace.subcommand
    for part in ("data", "model", "objective", "training") if "recipe" in namespace[command] else ():
        if not isinstance(namespace[command][part], Namespace):
            found = namespace[command][part]
            raise UserError(f"Expected settings by their names under '{part}', such as training: {{epochs: 3}}, found {found!r}.")
    try:
        values = parser.instantiate(namespace)[command].as_dict()
    except UserError:
        raise
    except (TypeError, ValueError) as error:  # jsonargparse lists what each type of a setting says
        lines = [line.strip().removeprefix("- ") for line in str(error).splitlines()]
        sentences = [line for line in lines if line.startswith("Expected ") and "<class" not in line]
        raise UserError(
            sentences[0] if sentences else f"Expected settings that make a recipe, found others: {' '.join(str(error).split())}"
        ) from error
    if "recipe" in values:
        values.pop("config")
        recipe = Recipe(**{field.name: values.pop(field.name) for field in fields(Recipe)})
        flags = {argument.partition("=")[0] for argument in arguments}
        short = {name: value for name in SHORT if (value := values.pop(name, None)) is not None}
        for name in list(short):  # one out of a file gives way to the setting's own flag
            if f"--training.{name}" in flags and f"--{name.replace('_', '-')}" not in flags:
                del short[name]
        values["recipe"] = replace(recipe, training=replace(recipe.training, **short))
    return command, values


class _Help(DefaultHelpFormatter):
    """Help formatter that omits types which metavars or defaults already show."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = str(super()._get_help_string(action))
        if str(self._get_type_str(action)).startswith(("Optional[tuple", "tuple")):
            return text
        return text.replace("type: %(type)s, ", "").replace(", type: %(type)s", "").replace(" (type: %(type)s)", "")


class _Parser(ArgumentParser):
    """Argument parser without abbreviations, whose errors are one sentence with the closest match."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Help, **settings)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the error as one sentence and exit with status 2."""
        parser = getattr(ex, "subcommand_parser", None) or self
        flags = [option for action in parser._actions for option in action.option_strings]
        message = re.sub(r"a (?:typing\.)?Literal\[(.*?)\]", lambda found: f"one of {found[1].replace(chr(39), '')}", message)
        message = re.sub(r"an? <class '(\w+)'>", lambda found: KINDS.get(found[1], found[1]), message)
        for command in COMMANDS:
            message = message.replace(f" {command}.", " ")
        for word in re.findall(r"(?<![\w-])--[\w.-]+|(?<=invalid choice: ')[^']+", message):
            known = flags if word.startswith("--") else re.findall(r"'([^']+)'", message.partition("choose from")[2])
            if word not in known and (close := difflib.get_close_matches(word, known, 1)):
                message += f"; did you mean {close[0]}?"
        parser.print_usage(sys.stderr)
        program = parser.prog.replace(" [options]", "")
        print(f"pellucid: {' '.join(message.split())} ({program} --help lists all options)", file=sys.stderr)
        sys.exit(2)


def _command_parser(command: str, arguments: Sequence[str]) -> ArgumentParser:
    """The parser of one command; its flags are the parameters of the command's function."""
    parser = _Parser(description=_summary(command), usage=f"pellucid {USAGE[command]}", epilog=f"example: pellucid {EXAMPLES[command]}")
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
            add("--out", type=Path, help="folder of the comparison, runs/compare/QUESTION by default; finished runs in it are kept")
            add("--seeds", type=int, metavar="N", help="number of trainings of each arm, 3 by default, 1 for each fold with --folds")
            add("--arms", nargs="+", metavar="ARM", help="only these arms")
            add("--tracks", nargs="+", metavar="TRACK", choices=list(TRACKS), help="the damage to measure on; see the protocol")
            add("--vary", nargs="+", metavar=("SETTING", "VALUE"), help="compare at each value of a setting: training.epochs 2 4 8")
            add(
                "--folds",
                type=int,
                metavar="N",
                help="cross-validation on pictures of your own: train N times without one part of N, and evaluate on that part",
            )
            add("--jobs", type=int, default=1, metavar="N", help="number of concurrent runs, each with its share of the cores")
            add("--report-only", action="store_true", help="report the finished runs, without training")
        case "evaluate":
            add("model", help="folder of a model or of a run, name of a model on the Hugging Face hub, or 'bundled'")
            add("--track", choices=list(TRACKS), default="reference", help="the damage; see the protocol")
            add("--json", type=Path, metavar="FILE", help="JSON file to write the figures to, with their provenance")
            add("--csv", type=Path, metavar="FILE", help="file to write the table to, a row for each level of the damage")
            add("--data", metavar="DATA", help="name, folder or table of the images; the data that the model was trained on by default")
            add("--source", type=Path, help="path of the data set's files, instead of downloading them")
            add("--limit", type=int, metavar="N", help="measure the first N images only")
            add("--mirror", action="store_true", help=MIRROR)
            add("--raw", action="store_true", help="measure the network's own outputs, without the temperature and the gate of predict")
        case "report":
            add("run", type=Path, help="folder of a finished run, in which report.html, report.md and evaluation.json are written")
            add("--track", choices=list(TRACKS), help="the damage; by default that of the training, or 'reference'")
            add("--data", metavar="DATA", help="name, folder or table of the images; the data that the model was trained on by default")
            add("--source", type=Path, help="path of the data set's files, instead of downloading them")
            add("--limit", type=int, metavar="N", help="measure the first N images only")
        case "predict":
            add("paths", nargs="+", type=Path, metavar="PATHS", help="picture and video files, and folders of them")
            add("--out", type=Path, required=True, metavar="DIR", help="folder for restored/, masks/, predictions.jsonl, contact sheet")
            add(
                "--model",
                default="bundled",
                help="folder of a model or of a run, exported model, name on the Hugging Face hub, or 'bundled'",
            )
            add("--force", action="store_true", help="write into a folder that has files in it")
            add("--resume", action="store_true", help="continue an interrupted call with this folder")
            add("--mirror", action="store_true", help=MIRROR)
            add("--abstain-below", type=float, default=0.0, metavar="P", help="minimum probability of a class to be reported, such as 0.7")
            add("--second-look", action="store_true", help="alarm if the restored picture is classified differently; for twice the time")
            add("--uncertainty", action="store_true", help="write uncertainty/: the estimated error of each pixel, in grey")
            add("--no-gate", action="store_true", help="also restore pictures in which no damage is detected")
        case "damage":
            add("paths", nargs="+", type=Path, metavar="PATHS", help="picture files, and folders of them")
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
            add("model", help="folder of a model or of a run, name of a model on the Hugging Face hub, or 'bundled'")
            formats = ["onnx", "openvino", "web"]
            add("--format", choices=formats, required=True, help="a file for ONNX Runtime, a folder for OpenVINO, or one with a page")
            add("--out", type=Path, required=True, metavar="PATH", help="file *.onnx or folder to write; must be new")
            add("--int8", action="store_true", help="8-bit convolutions; refused if they cost more than 0.3 points or 0.2 dB")
            add("--force", action="store_true", help="replace an existing target, and accept any loss of int8")
            add("--data", metavar="DATA", help="name, folder or table of the images for int8; those of the training by default")
            add("--source", type=Path, help="path of the data set's files, instead of downloading them")
            add("--runtime", type=Path, metavar="FILE", help="for web: npm's archive of onnxruntime-web, where there is no network")
        case "bench":
            add("model", help="folder of a model or of a run, an exported model, name on the Hugging Face hub, or 'bundled'")
            add("--formats", nargs="+", metavar="NAME", choices=BENCHED, help=f"of {', '.join(BENCHED)}; those installed by default")
            add("--batch-sizes", type=int, nargs="+", metavar="N", default=[1, 64], help="images of one batch")
            add("--sizes", type=int, nargs="+", metavar="N", default=[32, 256], help="sides of the images in pixels")
            add("--seconds", type=float, default=1.0, metavar="N", help="time for each figure")
            add("--json", type=Path, metavar="FILE", help="JSON file to write the figures to, with their provenance")
    if command not in ("damage", "data", "export", "bench"):
        add("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser


def _add_server(parser: ArgumentParser) -> None:
    """Add the settings of the server as flags."""
    from pellucid.serving.settings import TOKEN, Limits, ServerSettings

    add = parser.add_argument
    add("model", nargs="?", default="bundled", help="folder of a model or of a run, name on the Hugging Face hub, or 'bundled'")
    add("--host", default=ServerSettings.host, help="address to listen on; a public one needs a token")
    add("--port", type=int, default=ServerSettings.port, help="0 for any free port")
    add("--workers", type=int, default=1, metavar="N", help="processes, each with the model; several need --no-page")
    add(
        "--token",
        help=f"required in requests, as Bearer or as a password; safer in ${TOKEN}, since flags show in the list of processes",
    )
    add("--open-to-all", action="store_true", help="serve without a token on a public address")
    add("--no-page", action="store_true", help="only the API")
    add("--max-bytes", type=int, default=Limits.max_bytes, metavar="N", help="of a request")
    add("--max-pixels", type=int, default=Limits.max_pixels, metavar="N", help="of a picture")
    add("--max-pictures", type=int, default=Limits.max_pictures, metavar="N", help="of a request")
    add("--max-in-flight", type=int, default=Limits.max_in_flight, metavar="N", help="requests at a time, for each worker")
    add("--timeout", type=float, default=Limits.timeout, metavar="SECONDS", help="for reading a request, and for the response")
    add("--mirror", action="store_true", help=MIRROR)


def _add_recipe(parser: ArgumentParser, arguments: Sequence[str], short: Sequence[str]) -> str:
    """Add the settings of a recipe as flags, some of them with a short form; returns the name of the recipe with the default values.

    Without `max_minutes` among the short forms, the recipe's time limit is removed, and no images are held out: a comparison counts steps,
    and measures networks, without a temperature, on test images.
    """
    name = _named_recipe(arguments)
    recipe = RECIPES[name]
    parser.add_argument("--recipe", choices=list(RECIPES), default=name, help="settings to start from")
    parser.add_argument("--config", action="config", help="YAML file of settings, as --print_config shows them; flags go over it")
    for setting in short:
        kind, message = SHORT[setting]
        parser.add_argument(f"--{setting.replace('_', '-')}", type=kind, metavar="N", help=message)
    if "max_minutes" not in short:
        data = replace(recipe.data, validation=0, validation_share=0.0)
        recipe = replace(recipe, data=data, training=replace(recipe.training, max_minutes=0.0))
    parser.add_class_arguments(Recipe)
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
        with suppress(OSError, UnicodeError, yaml.YAMLError):  # the parser proper reports a file that can't be read
            content = yaml.safe_load(Path(file).read_text())
            named.recipe = content.get("recipe") if isinstance(content, dict) else None
    return named.recipe if named.recipe in RECIPES else DEFAULT_RECIPE


def _summary(command: str) -> str:
    """The first sentence of a command's docstring."""
    return (COMMANDS[command].__doc__ or "").split("\n\n")[0]
