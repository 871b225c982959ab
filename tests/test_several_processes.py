"""Training in two processes, which decide together when to save and to stop."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from pellucid.recipe import Recipe, settings

TIMEOUT = 90
"""Seconds after which the processes count as waiting for each other for ever; they take a sixth of it."""

SAVED, STOPPED = 5, 9
"""Steps after which the clock of the second process runs an hour fast, and after which it is told to stop."""

SCRIPT = f"""
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import torch

torch.set_num_threads(1)
from pellucid.cli import main
from pellucid.training import loop

rank, ahead = int(os.environ.get("LOCAL_RANK", 0)), 0
loop.time = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead)
train_step, save = loop.Trainer._train_step, loop.Trainer.save


def disturbed(self, *arguments):
    global ahead
    train_step(self, *arguments)
    if rank == 1 and self.step == {SAVED}:
        ahead = 3600
    if rank == 1 and self.step == {STOPPED}:
        os.kill(os.getpid(), signal.SIGTERM)


def watched(self):
    state = {{"step": self.step, "model": self.raw_model.state_dict(), "average": dict(self.average.named_parameters())}}
    torch.save(state, Path(__file__).with_name(f"{{self.step}}-{{rank}}.pt"))
    save(self)


loop.Trainer._train_step, loop.Trainer.save = disturbed, watched
try:
    main(sys.argv[1:])
except SystemExit as stopped:
    print(f"process {{rank}}: {{stopped.code}}")
    raise
"""


def test_two_processes_save_and_stop_at_the_same_steps(tiny: Recipe, tmp_path: Path) -> None:
    # By the clock of the second process, the time is up after step `SAVED`, and a state is due: the first one's decides the former alone.
    recipe = replace(tiny, training=replace(tiny.training, save_minutes=10, max_minutes=30))
    config, script, out = tmp_path / "recipe.json", tmp_path / "script.py", tmp_path / "run"
    config.write_text(json.dumps(settings(recipe)))
    script.write_text(SCRIPT)
    command = [sys.executable, script, "train", "--config", config, "--out", out, "--device", "cpu", "--devices", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        printed, _ = process.communicate(timeout=TIMEOUT)  # until the second process, which has the same output, has ended, too
    finally:
        with suppress(ProcessLookupError):  # both have ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 130, printed
    assert {"process 0: 130", "process 1: 130"} <= set(printed.splitlines())

    steps = {(SAVED, 0), (SAVED, 1), (STOPPED, 0), (STOPPED, 1)}
    assert {tuple(map(int, path.stem.split("-"))) for path in tmp_path.glob("*.pt")} == steps
    state = torch.load(out / "state.ckpt", weights_only=True)
    assert state["step"] == STOPPED
    assert state["seconds"] < TIMEOUT  # by the clock of the first process
    first, second = (torch.load(tmp_path / f"{STOPPED}-{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, value in first["model"].items():
        assert torch.equal(state["model"][name], value), name
    for name, value in first["average"].items():  # without the statistics of batch normalisation, which are those of each process
        assert torch.equal(second["average"][name], value), name
        assert torch.equal(state["average"][name], value), name
