"""Training in two processes, which decide together when to save and to stop."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from pellucid.recipe import Recipe, settings

SAVED, STOPPED = 5, 9
"""Steps after which the clock of the second process runs an hour fast, and after which it is told to stop."""

WAITING = 120
"""Seconds from the first step on after which the processes count as waiting for each other for ever, and are ended."""

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

rank, ahead = int(os.environ["LOCAL_RANK"]), 0
loop.time = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead)
train_step, save = loop.Trainer._train_step, loop.Trainer.save


def disturbed(self, *arguments):
    global ahead
    if self.step == 0:
        signal.alarm({WAITING})
    train_step(self, *arguments)
    if rank == 1 and self.step == {SAVED}:
        ahead = 3600
    if rank == 1 and self.step == {STOPPED}:
        os.kill(os.getpid(), signal.SIGTERM)


def watched(self):
    state = {{"model": self.raw_model.state_dict(), "average": dict(self.average.named_parameters())}}
    torch.save(state, Path(__file__).with_name(f"{{self.step}}-{{rank}}.pt"))
    save(self)


loop.Trainer._train_step, loop.Trainer.save = disturbed, watched
main(sys.argv[1:])
"""


def test_two_processes_save_and_stop_at_the_same_steps(tiny: Recipe, tmp_path: Path) -> None:
    # By the clock of the second process, a state is due after step `SAVED`, and the time is up; of the end, the first one's clock decides.
    recipe = replace(tiny, training=replace(tiny.training, save_minutes=10, max_minutes=30))
    config, script, out = tmp_path / "recipe.json", tmp_path / "script.py", tmp_path / "run"
    config.write_text(json.dumps(settings(recipe)))
    script.write_text(SCRIPT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    command = [sys.executable, script, "train", "--config", config, "--out", out, "--device", "cpu", "--devices", "2"]
    processes = [
        subprocess.Popen(command, env=shared | {"LOCAL_RANK": rank}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank in ("1", "0")  # the second one looks for the folder before the first one has created it
    ]
    try:
        printed = [process.communicate(timeout=240)[0] for process in processes]  # of which they take a few seconds, imports included
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert [process.returncode for process in processes] == [130, 130], "\n".join(printed)

    steps = {(SAVED, 0), (SAVED, 1), (STOPPED, 0), (STOPPED, 1)}
    assert {tuple(map(int, path.stem.split("-"))) for path in tmp_path.glob("*.pt")} == steps
    state = torch.load(out / "state.ckpt", weights_only=True)
    assert state["step"] == STOPPED
    assert state["seconds"] < 3600  # by the clock of the first process
    first, second = (torch.load(tmp_path / f"{STOPPED}-{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, value in first["model"].items():
        assert torch.equal(state["model"][name], value), name
    for name, value in first["average"].items():  # without the statistics of batch normalisation, which are those of each process
        assert torch.equal(second["average"][name], value), name
        assert torch.equal(state["average"][name], value), name
