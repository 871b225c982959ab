"""Runs the matrix of a comparison, arms x seeds, several runs at a time; finished runs are skipped."""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich import get_console
from rich.live import Live

from pellucid.cores import num_cores
from pellucid.data import Dataset, Photos
from pellucid.device import choose_device
from pellucid.errors import TrainingError, UserError
from pellucid.evaluation import TRACKS
from pellucid.evaluation.evaluate import Evaluation, evaluate
from pellucid.experiments.comparison import Comparison
from pellucid.experiments.cost import count_macs
from pellucid.experiments.matrix_progress import MatrixProgress
from pellucid.experiments.results import RESULT, Cost, Result
from pellucid.files import write_json
from pellucid.metrics import FIGURES
from pellucid.progress import Heartbeat
from pellucid.provenance import provenance
from pellucid.recipe import Recipe, as_started, completed, differences, settings
from pellucid.run import run
from pellucid.run_folder import LOG, MODEL, RECIPE, RUNS, read_recipe
from pellucid.training.log import read_log

FAILURE = "failure.json"

POLL_SECONDS = 0.5
"""Interval in seconds at which the progress of the runs is polled."""

LAST_SAVE = 60.0
"""Seconds in which a worker must save its state after its parent process has ended."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run: train `recipe` in `folder` and measure it on `tracks`; restorer: folder of the run that trains its restorer."""

    arm: str
    seed: int
    recipe: Recipe
    folder: Path
    tracks: tuple[str, ...]
    restorer: Path | None


def plan(comparison: Comparison, seeds: Sequence[int], out: Path) -> list[Job]:
    """The jobs of all runs, ordered by seed.

    With precision `auto`, all runs use that of the finished ones of them, or else of the begun ones. Raises `UserError` for a run that was
    started with another recipe, precision or other pictures, since their figures are not comparable.
    """
    jobs = []
    for seed in seeds:
        for arm in comparison.arms:
            recipe, folder = comparison.recipe(arm, seed), out / RUNS / arm / f"seed-{seed}"
            restorer = out / RUNS / "restore" / f"seed-{seed}" if recipe.model.architecture == "sequential" else None
            jobs.append(Job(arm, seed, recipe, folder, comparison.tracks, restorer))
    _check_distinct(jobs)
    results = {job.folder: result for job in jobs if (result := finished(job))}
    started = {folder: completed(result.settings) for folder, result in results.items()}
    begun = {job.folder: read_recipe(job.folder) for job in jobs if (job.folder / RECIPE).exists()}
    auto = [job.folder for job in jobs if job.recipe.training.precision == "auto"]
    if chosen := [each[folder] for each in (started, begun) for folder in auto if folder in each]:
        jobs = [replace(job, recipe=as_started(job.recipe, chosen[0])) for job in jobs]
    for job in jobs:
        if job.folder in started and (changed := differences(started[job.folder], settings(job.recipe))):
            raise UserError(
                f"Expected the recipe that {job.folder} was run with, found changes ({'; '.join(changed)}); compare with the same "
                "settings, or in a new folder."
            )
    if digests := {result.data_digest for result in results.values()} - {""}:
        splits = comparison.base.data.splits()
        for digest in digests:
            splits.require_unchanged(digest, f"a run in {out}", "compare in a new folder")
    return jobs


def _check_distinct(jobs: Sequence[Job]) -> None:
    arms: dict[str, str] = {}
    for job in jobs:
        other = arms.setdefault(json.dumps(settings(job.recipe), sort_keys=True), job.arm)
        if other != job.arm:
            raise UserError(f"Expected arms that differ, found '{other}' and '{job.arm}' with the same recipe; leave one out, by --arms.")


def finished(job: Job) -> Result | None:
    """The result of a run, if it is trained and evaluated on all its tracks."""
    if not (job.folder / RESULT).exists():
        return None
    result = Result.load(job.folder)
    return result if set(job.tracks) <= result.metrics.keys() else None


def run_jobs(jobs: Sequence[Job], *, device: str = "auto", workers: int = 1) -> None:
    """Run all unfinished jobs, `workers` at a time (0 for none), each in a process with its share of the cores.

    The output of a run is written to a text file beside its folder. A failed run, such as a diverged one, leaves `failure.json` in its
    folder; the others continue, and the next call tries it again. If a process is killed, the runs of that moment are retried one by one. A
    `UserError`, such as missing weights that a run depends on, is raised; active runs save their states and stop.
    """
    waiting = [job for job in jobs if not finished(job)]
    if not waiting or not workers:
        return
    for job in waiting:
        for folder in filter(None, (job.folder, job.restorer)):
            if (folder / RESULT).exists() and not (folder / MODEL).exists():
                raise UserError(
                    f"Expected the weights that {job.arm} needs in {folder / MODEL}, found figures alone; remove that run, and it will be "
                    "trained again."
                )
    choose_device(device)
    threads = max(1, num_cores() // workers)
    progress = MatrixProgress([(job.arm, job.seed, job.folder / LOG) for job in jobs], {(job.arm, job.seed) for job in waiting})
    with ExitStack() as stack:
        pool = stack.enter_context(_pool(workers))
        console = get_console()
        live = stack.enter_context(Live(progress, console=console)) if console.is_terminal else None
        heartbeat = Heartbeat(console)
        running: dict[Future[None], tuple[Job, str]] = {}
        broken = False  # a process of the pool was killed; the pool accepts no more jobs
        retried: list[Job] = []  # the jobs that ran then, retried one by one to find the one whose process is killed
        while waiting or running:
            if broken and not running:
                pool, broken = stack.enter_context(_pool(workers)), False
            num_free = (1 if retried else workers) - len(running)
            for job in [] if broken else [job for job in waiting if _ready(job)][: max(0, num_free)]:
                waiting.remove(job)
                placed = _free_device(device, [place for _, place in running.values()])
                running[pool.submit(_execute, job, placed, threads, workers)] = job, placed
                progress.start(job.arm, job.seed)
            done, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                job, _ = running.pop(future)
                if error := future.exception():
                    broken |= isinstance(error, BrokenProcessPool)
                    if isinstance(error, BrokenProcessPool) and workers > 1 and job not in retried:
                        retried.append(job)
                        waiting.insert(0, job)
                        continue
                    _record_failure(job, error, pool)
                    progress.fail(job.arm, job.seed)
                else:
                    progress.finish(job.arm, job.seed)
                if job in retried:
                    retried.remove(job)
                heartbeat.print(f"{job.arm}, seed {job.seed}: {progress.state(job.arm, job.seed)}")
            if not running and not broken and not any(_ready(job) for job in waiting):
                for job in waiting:
                    _record_failure(job, RuntimeError(f"it builds on the run in {job.restorer}, which is not finished"), pool)
                    progress.fail(job.arm, job.seed)
                waiting.clear()
            if live:
                live.refresh()
            heartbeat.beat(progress.line)


def _free_device(device: str, taken: Sequence[str]) -> str:
    """The device of the next run: of several GPUs the one with the fewest of the running ones. taken: the devices of these."""
    if device not in ("auto", "cuda") or torch.cuda.device_count() < 2:
        return device
    return min((f"cuda:{index}" for index in range(torch.cuda.device_count())), key=taken.count)


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End this process when its parent has ended, after saving the state of its training."""
    if parent := multiprocessing.parent_process():

        def watch() -> None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)  # a training saves its state and stops; otherwise the process ends
            time.sleep(LAST_SAVE)
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _ready(job: Job) -> bool:
    return job.restorer is None or (job.restorer / RESULT).exists()


def _record_failure(job: Job, error: BaseException, pool: ProcessPoolExecutor) -> None:
    """Write the reason of a failed run to its folder; errors that are not specific to a run stop the others and are raised."""
    if not isinstance(error, Exception) or (isinstance(error, UserError) and not isinstance(error, TrainingError)):
        for process in (getattr(pool, "_processes", None) or {}).values():
            process.terminate()  # a training saves its state and stops
        raise error
    reason = textwrap.shorten(str(error), 400)
    if isinstance(error, BrokenProcessPool):
        reason = "its process was killed, perhaps for want of memory"
    elif not isinstance(error, TrainingError):
        reason = f"{type(error).__name__}: {reason}"
    write_json(job.folder / FAILURE, {"reason": reason, "date": date.today().isoformat()})


def failure_reason(job: Job) -> str | None:
    """The reason of the last failure of a run; `None` if it did not fail."""
    path = job.folder / FAILURE
    return str(json.loads(path.read_bytes())["reason"]) if path.exists() and not finished(job) else None


def _execute(job: Job, device: str, threads: int, workers: int) -> None:
    """One run, in a process of the pool."""
    torch.set_num_threads(threads)
    job.folder.mkdir(parents=True, exist_ok=True)
    with (
        job.folder.with_suffix(".txt").open("a", buffering=1, encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        (job.folder / FAILURE).unlink(missing_ok=True)
        try:
            _train_and_measure(job, device, workers)
        except Exception:
            traceback.print_exc()
            raise
        finally:
            if (parent := multiprocessing.parent_process()) and not parent.is_alive():
                os._exit(1)  # no parent to return the result to


def _train_and_measure(job: Job, device: str, workers: int) -> None:
    """Train a run if it is not trained, and evaluate the missing tracks."""
    network, metadata = run(job.recipe, job.folder, resume=True, device=device, restorer=job.restorer)
    older = Result.load(job.folder) if (job.folder / RESULT).exists() else None
    splits = job.recipe.data.splits()
    images = splits.measured
    chosen, precision = choose_device(device), metadata.recipe["training"]["precision"]  # that of the run, wherever it continues
    tracks = [track for track in job.tracks if older is None or track not in older.metrics]
    measure = partial(
        evaluate, network, images, device=chosen, damages=metadata.damages, trained=metadata.trained_kinds, precision=precision
    )
    evaluations = {track: measure(TRACKS[track]) for track in tracks}
    records = read_log(job.folder / LOG)
    seconds = older.cost.training_seconds if older else records[-1]["seconds"]
    if job.restorer and not older:
        seconds += Result.load(job.restorer).cost.training_seconds
    Result(
        arm=job.arm,
        seed=job.seed,
        settings=metadata.recipe,
        cost=Cost(
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            macs=count_macs(network, images.size[0]),
            training_seconds=seconds,
        ),
        metrics=(older.metrics if older else {}) | {track: evaluation.to_json() for track, evaluation in evaluations.items()},
        provenance=older.provenance
        if older
        else provenance(["pellucid", *sys.argv[1:]], chosen, precision)
        | {"trained": metadata.trained, "trained_commit": metadata.commit, "runs_at_a_time": workers},
        per_image=(older.per_image if older else {}) | {track: _per_image(evaluation, images) for track, evaluation in evaluations.items()},
        course=older.course if older else _course(records),
        classes=list(images.classes),
        data_digest=splits.digest,
    ).save(job.folder)


def _per_image(evaluation: Evaluation, images: Dataset) -> dict[str, NDArray[np.float32]]:
    """The stored columns, see `Result`: of compared figures and, for the user's own pictures, of the predictions."""
    kept = [figure.column for figure in FIGURES.values() if figure.paired]
    own = isinstance(images.images, Photos)
    levels = evaluation.per_image.values()
    columns = {
        name: torch.cat([columns[name] for columns in levels]).numpy()
        for name in [*kept, *(("predicted", "confidence", "input_psnr") if own else ())]
        if all(name in columns for columns in levels)
    }
    return columns | ({"label": np.tile(images.labels, len(levels)).astype(np.float32)} if own else {})


def _course(records: list[dict[str, Any]], points: int = 50) -> list[dict[str, Any]]:
    """About `points` evenly spaced records of a training, and all records with gradients."""
    every = max(1, len(records) // points)
    return [record for index, record in enumerate(records, 1) if index % every == 0 or "gradient_cosine" in record]
