"""Runs the comparisons of the project one after the other; finished runs are skipped, so that the same command resumes.

The results of each comparison are in `results/NAME/`: `comparison.json`, the report, and the figures and per-image values of each run,
without the weights. From these, `--report-only` rebuilds all reports without training.

    make evidence                               # all of them, in their order
    python scripts/evidence.py --only reference-base-cpu --report-only
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

MAIN_ARMS = "--arms classify restore joint joint-equal"

ALL_ARMS = "--arms classify restore sequential joint-plain joint joint-equal paper-listing"

MECHANISMS = (  # without those that use the damage estimate: `everyday-base-cpu` has them, since its damage varies
    "--arms classify restore joint joint-last-stage-shared joint-without-damage-head joint-class-to-decoder "
    "joint-class-to-decoder-shuffled joint-clean-teacher joint-degraded-teacher"
)

BASE = "--recipe base --epochs 4 --training.shards 1"


def tuned(*arms: str) -> str:
    """A learning rate of 0.13: the best of those tried for single tasks, but not for the joint network, nor for classification of few
    images (`results/design.md`)."""
    rates = ("training.learning_rate 0.13", "training.fallback_learning_rate 0.04")
    return " ".join(f"--tune {arm} {rate}" for arm in arms for rate in rates)


SINGLE = tuned("classify", "restore")
REFERENCE = tuned("classify", "restore", "sequential", "joint-equal")  # for joint-equal no other was tried

QUEUE: dict[str, tuple[str, ...]] = {
    "reference-base-cpu": (
        f"reference {BASE} {REFERENCE} {MAIN_ARMS} --seeds 5",
        f"reference {BASE} {REFERENCE} {ALL_ARMS} --seeds 3",
        f"reference {BASE} {REFERENCE} {ALL_ARMS} --seeds 5 --report-only",
    ),
    "joint-wider-base-cpu": (
        f"reference {BASE} {SINGLE} --tune joint model.encoder.widths '[56, 112, 208]' --arms classify restore joint --seeds 5 "
        "--reuse results/reference-base-cpu",
    ),
    "few-images-base-cpu": (f"few-images {BASE} {tuned('restore')} --seeds 3",),
    "low-label-base-cpu": (
        f"low-label {BASE} {tuned('restore')} --seeds 3 --reuse results/few-images-base-cpu results/reference-base-cpu",
    ),
    "everyday-base-cpu": (f"everyday {BASE} {SINGLE} --seeds 2",),
    "mechanisms-base-cpu": (f"mechanisms {BASE} {SINGLE} {MECHANISMS} --seeds 3 --reuse results/reference-base-cpu",),
    "regime-images-base-cpu": (
        f"few-images {BASE} {tuned('restore')} --arms classify restore joint --seeds 2 --vary data.labels 2500 5000 "
        "--reuse results/few-images-base-cpu",
    ),
    "regime-base-cpu": (
        f"reference {BASE} {SINGLE} --arms classify restore joint --seeds 2 --vary training.epochs 1 2 4 8 "
        "--reuse results/reference-base-cpu",
    ),
    "balancers-base-cpu": (f"balancers {BASE} {SINGLE} --seeds 2 --reuse results/reference-base-cpu",),
}
"""Calls of `pellucid compare` by the name of the folder."""


def main() -> None:
    """Run the comparisons; a failed one ends the script with its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(QUEUE), help="these comparisons alone")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--report-only", action="store_true", help="train nothing, write the reports of what is there")
    options = parser.parse_args()
    for name in options.only or QUEUE:
        out = ROOT / "results" / name
        calls = QUEUE[name][-1:] if options.report_only else QUEUE[name]
        if options.report_only and not out.exists():
            continue
        for call in calls:
            arguments = [*shlex.split(call), "--jobs", str(options.jobs), "--out", f"results/{name}", "--device", "cpu"]
            arguments += ["--report-only"] if options.report_only and "--report-only" not in arguments else []
            arguments += [] if "--report-only" in arguments else ["--resume"]
            print("pellucid compare", shlex.join(arguments), flush=True)
            environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
            pellucid = Path(sys.executable).with_name("pellucid")
            done = subprocess.run([str(pellucid), "compare", *arguments], cwd=ROOT, env=environment, check=False)
            if done.returncode:
                sys.exit(done.returncode)


if __name__ == "__main__":
    main()
