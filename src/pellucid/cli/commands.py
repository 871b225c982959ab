"""The commands, one typed function for each, whose docstring is its help. Torch is imported only when a command runs."""

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pellucid.cli.output import (
    check_files,
    check_limit,
    load_with_images,
    measure,
    origin,
    outputs_note,
    print_evaluation,
    report_run,
    show,
    write_csv,
)
from pellucid.errors import UserError
from pellucid.evaluation import PAIRS, TRACKS, own_track
from pellucid.experiments.comparison import at_values, build_comparison, tuned
from pellucid.files import write_json
from pellucid.model_folder import find_model
from pellucid.recipe import RECIPES, Recipe, settings
from pellucid.run_folder import claim, claim_comparison

INSPECT = "inspect"
"""Instead of the name of a data set: inspect a folder or a table."""

REPORTED = 1000
"""Maximum number of images in the report at the end of a training; `pellucid report` evaluates all."""


def demo(out: Path, resume: bool, device: str) -> None:
    """Download CIFAR-10, train recipe `quick` (five minutes on two CPU cores), evaluate it and write a report."""
    if out.is_dir():
        claim(out, RECIPES["quick"], resume)  # before torch is imported
    from pellucid import data
    from pellucid.evaluation.calibration import as_predicted
    from pellucid.evaluation.classical import CLASSICAL
    from pellucid.evaluation.evaluate import evaluate
    from pellucid.reporting import write_report
    from pellucid.reporting.scores import shortfall
    from pellucid.run import run

    network, metadata = run(RECIPES["quick"], out, resume=resume, device=device)
    test = data.load("cifar10").test
    evaluation = measure(as_predicted(network, metadata), metadata, test, "reference")
    best_untrained = "inpainting, then means"
    baselines = {best_untrained: evaluate(CLASSICAL[best_untrained], test, TRACKS["reference"], limit=1000, whole_batch=True)}
    others = {"raw": False, "references": {name: baseline.to_json() for name, baseline in baselines.items()}}
    write_json(out / "evaluation.json", evaluation.to_json() | others | origin(network, metadata))
    report = write_report(out, network, metadata, test, evaluation, baselines)
    print_evaluation(evaluation)
    if warning := shortfall(evaluation, baselines):
        show(warning)
    show(
        f"The report: {report}\n"
        f"Restore and classify your pictures: pellucid predict PICTURES... --out restored --model {out}\n"
        f"Evaluate on other damage:           pellucid evaluate {out} --track noise\n"
        "Train longer, for a better model:   pellucid train --recipe base --out runs/base"
    )


def train(recipe: Recipe, out: Path, resume: bool, device: str, devices: int, restorer: Path | None) -> None:
    """Train a network by a recipe, whose settings can be changed by flags or a YAML file."""
    if devices < 1:
        raise UserError(f"Expected devices of at least 1, found {devices}.")
    if out.is_dir():
        claim(out, recipe, resume)  # before torch is imported
    from pellucid.run import run

    splits, first = recipe.data.splits(), not int(os.environ.get("LOCAL_RANK", 0))
    if splits.skipped and first:
        num, example = len(splits.skipped), splits.skipped[0].rstrip(".")
        left_out = f"{num:,} picture{'s' * (num > 1)}"
        print(f"pellucid: left out {left_out} ({example}); pellucid data inspect {recipe.data.dataset} lists all.", file=sys.stderr)
    network, metadata = run(recipe, out, resume=resume, device=device, devices=devices, restorer=restorer)
    if not first:
        return  # only the first of several processes prints
    track = own_track(metadata.recipe.get("damage"), splits.train.damaged is not None)
    if splits.validation is not None:
        report_run(out, network, metadata, splits.validation, track, REPORTED)
    elif len(splits.test):
        report_run(out, network, metadata, splits.test, track, REPORTED)
    if metadata.tasks != "restore" and "temperature" not in metadata.fitted:
        show(
            "Confidence is not calibrated: that needs at least 50 labelled images that were not trained on, such as --data.validation 100 "
            "holds out."
        )
    show(f"The model: {out / 'model'}\nMeasure it: pellucid evaluate {out} --track {track}")


def report(run: Path, track: str | None, data: str | None, source: Path | None, limit: int | None, device: str) -> None:
    """Evaluate a run on test images, and write its report: figures, pictures and reliability."""
    check_limit(limit)
    if not (run / "model").is_dir():
        raise UserError(f"Expected the folder of a finished run, with model/ in it, found {run}; train one with 'pellucid train'.")
    network, metadata, test = load_with_images(run, data, source, device)
    own = own_track(metadata.recipe.get("damage"), test.damaged is not None)
    report_run(run, network, metadata, test, track or own, limit)


def compare(
    question: str,
    recipe: Recipe,
    out: Path | None,
    resume: bool,
    seeds: int | None,
    arms: list[str] | None,
    tracks: list[str] | None,
    tune: list[list[str]],
    vary: list[str] | None,
    folds: int | None,
    reuse: list[Path],
    jobs: int,
    report_only: bool,
    device: str,
) -> None:
    """Train and evaluate several arms with several seeds, and report their differences with confidence intervals."""
    if vary and folds is not None:
        raise UserError("Expected --vary or --folds, found both; the folds are varied already.")
    if reuse and folds is not None:
        raise UserError("Expected --reuse or --folds, found both; runs of other folds can't count.")
    for path in reuse:
        if not path.is_dir():
            raise UserError(f"Expected the folder of a comparison after --reuse, found {path}; name one of 'pellucid compare'.")
    seeds = (3 if folds is None else 1) if seeds is None else seeds
    for name, number in (("seeds", seeds), ("jobs", jobs)):
        if number < 1:
            raise UserError(f"Expected {name} of at least 1, found {number}.")
    out = out or Path("runs") / "compare" / question
    if not report_only:
        claim_comparison(out, resume, "fold-" if folds is not None else f"{vary[0]}-" if vary else "")
    comparison = tuned(build_comparison(question, recipe), tune).only(arms, tracks)
    varied = at_values(comparison, vary[0], vary[1:]).values() if vary and vary[0] in ("damage", "data.dataset") else ()
    if vary and tracks is None and any(each.base.data.own for each in varied):
        raise UserError(f"Expected --tracks with --vary {vary[0]} and pictures of your own, found none; name the damage to measure on.")
    if recipe.data.own:
        paired = recipe.data.splits().train.damaged is not None
        if tracks is None:  # the damage that the arms are trained on, which of pairs is their own
            trained = next(iter(comparison.arms.values())).change(recipe)
            comparison = comparison.only(tracks=[own_track(settings(trained)["damage"], paired)])
        elif PAIRS in tracks and not paired:
            raise UserError(f"Expected pairs of clean and damaged pictures for track '{PAIRS}', found none in {recipe.data.dataset}.")
    from pellucid import compare as comparing  # only now, because it takes a while

    workers = 0 if report_only else jobs
    if folds is not None:
        of_folds = comparing.cross_validate(comparison, folds, range(seeds), out, device=device, workers=workers)
        by_value = {f"fold {fold}": results for fold, results in of_folds.results.items()}
        show("\n".join(comparing.summary_of_folds(of_folds)))
        if of_folds.arms:
            show(f"The report: {out / comparing.REPORT}")
    elif vary:
        setting, *values = vary
        by_value = comparing.compare_at_values(comparison, setting, values, range(seeds), out, device=device, workers=workers, reused=reuse)
        show("\n".join(f"{setting} {value}: {comparing.summary(results)}" for value, results in by_value.items()))
        show(f"The curve: {out / comparing.CURVE}.png")
    else:
        results = comparing.compare(comparison, range(seeds), out, device=device, workers=workers, reused=reuse)
        by_value = {"": results}
        show(comparing.summary(results))
        if any(results.runs.values()):
            show(f"The report: {out / comparing.REPORT}")
    failures = [
        f"{arm} with seed {seed}{value and f' at {value}'}: {reason}"
        for value, each in by_value.items()
        for (arm, seed), reason in each.failures.items()
    ]
    if failures:
        print(
            f"pellucid: {len(failures)} runs failed ({'; '.join(failures)}); the same command with --resume tries them again.",
            file=sys.stderr,
        )
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
    check_limit(limit)
    check_files(json, csv)  # mistakes are reported before torch is imported
    network, metadata, test = load_with_images(model, data, source, device)
    from pellucid.evaluation.calibration import as_predicted
    from pellucid.models.predicting import Predicting

    predicting = Predicting(network, mirror=mirror) if raw else as_predicted(network, metadata, mirror)
    evaluation = measure(predicting, metadata, test, track, limit)
    print_evaluation(evaluation)
    if note := outputs_note(metadata, raw):
        show(note)
    if json is not None:
        calibration = {"temperature": metadata.temperature, "gate": metadata.gate and asdict(metadata.gate)}
        settings_of_outputs = {"raw": raw, **calibration, "mirror": mirror}
        write_json(json, evaluation.to_json() | settings_of_outputs | origin(network, metadata))
    if csv is not None:
        write_csv(csv, [{"track": evaluation.track, "level": level, **row} for level, row in evaluation.rows().items()])


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
    from pellucid.inference import predict_files
    from pellucid.progress import ProgressBar

    options: dict[str, Any] = {"abstain_below": abstain_below, "second_look": second_look, "uncertainty": uncertainty, "gate": not no_gate}
    warnings.filterwarnings("ignore", module=r"PIL\.|pydicom\.")  # of metadata that are damaged; what matters becomes an error
    if int(os.environ.get("RANK", 0)):  # only the first of several processes prints
        predict_files(paths, out, model, device, force, None, mirror, resume, **options)
        return
    with ProgressBar("pictures") as progress:
        summary = predict_files(paths, out, model, device, force, progress, mirror, resume, progress.print, **options)
    show(str(summary))
    if summary.num_failed:
        sys.exit(1)


def damage(paths: list[Path], suite: str, out: Path, save: Path | None, seed: int, draws: int, force: bool) -> None:
    """Apply a damage suite to pictures, and draw a grid of several samples of each."""
    from pellucid.damage import damage_files

    show(damage_files(paths, suite, out, seed, draws, force, save))


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
    missing = [name for name in ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "gradio") if find_spec(name) is None]
    if set(missing) - ({"gradio"} if no_page else set()):
        raise UserError(f"Expected the packages of the extra 'app', found no {', '.join(missing)}; pip install \"pellucid[app]\".")
    from pellucid.serving.settings import TOKEN, Limits, ServerSettings

    limits = Limits(max_bytes, max_pixels, max_pictures, max_in_flight, timeout)
    token = token or os.environ.get(TOKEN) or None
    settings = ServerSettings(model, host, port, workers, token, open_to_all, not no_page, device, mirror, limits)
    from pellucid.inference.source import check_model

    check_model(model)  # before torch and gradio are imported
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
        show("\n".join(findings.lines()))
        if findings.unreadable:
            sys.exit(1)
        return
    splits = data.load(dataset, source)
    show(f"{dataset}: {len(splits.train):,} training and {len(splits.test):,} test images, {len(splits.train.classes)} classes.")


def export(
    model: str, format: str, out: Path, int8: bool, force: bool, data: str | None, source: Path | None, runtime: Path | None
) -> None:
    """Write a model for ONNX Runtime or OpenVINO, verified against torch, or as a page that computes in the browser."""
    model_folder = find_model(model)  # before torch and onnx are imported
    from pellucid.export import export_model

    show(str(export_model(model_folder, format, out, int8, force, data, source, runtime, lambda message: print(message, file=sys.stderr))))


def bench(model: str, formats: list[str] | None, batch_sizes: list[int], sizes: list[int], seconds: float, json: Path | None) -> None:
    """Measure images per second and memory of a model in torch, ONNX Runtime and OpenVINO, as ratios in one run."""
    check_files(json)
    from pellucid.bench import run_benchmark

    results = run_benchmark(model, formats, batch_sizes, sizes, seconds, lambda message: print(message, file=sys.stderr))
    show(results.table())
    show(results.notes)
    if json is not None:
        write_json(json, results.to_json(["pellucid", *sys.argv[1:]]))


COMMANDS: dict[str, Callable[..., None]] = {
    command.__name__: command for command in (demo, train, compare, evaluate, report, predict, damage, app, data, export, bench)
}
"""Every command by name; `flags.py` has their flags."""

RESUMABLE = ("demo", "train", "compare", "predict")
"""Commands that can be stopped, and resumed by --resume."""
