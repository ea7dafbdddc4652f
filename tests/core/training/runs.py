"""A training run of a second: what several tests of training share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.ap.score import score_while_training
from core import preset
from core.config.overrides import config_from_dict
from core.config.schema import Config
from core.training.train import train

SMALL = {
    "backbone.width": 8,
    "backbone.drop_path": 0.1,
    "messenger.tokens": 4,
    "head.stages": 2,
    "head.queries": 5,
    "head.channels": 16,
    "head.attention_heads": 2,
    "head.ffn_channels": 32,
    "head.dynamic_channels": 8,
    "head.mask_convs": 1,
    "data.synthetic.videos": 6,
    "data.synthetic.frames": 4,
    "data.synthetic.size": [32, 48],
    "data.train_sizes": [[48, 32]],
    "data.test_size": [48, 32],
    "data.clip_length": 2,
    "train.steps": 6,
    "train.warmup": 2,
    "train.clips": 2,
    "train.log_every": 1,
    "train.checkpoint_every": 2,
}


def small(**overrides: object) -> Config:
    """The config; fields are written with a double underscore for the dot."""
    values = {name.replace("__", "."): value for name, value in overrides.items()}
    return preset("tiny", SMALL | values)


def history(folder: Path) -> list[dict]:
    """The lines of the run's history."""
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def losses(folder: Path) -> list[tuple]:
    """What must not differ between two equal runs: all of a line but its times."""
    return [
        (line["step"], line["loss"], line["losses"], line["lr"], line["grad_norm"])
        for line in history(folder)
    ]


def run_task(config: dict, folder: str, stop: int = 0) -> None:
    """Train with one thread; ``stop``: interrupt after so many steps (0: never)."""
    torch.set_num_threads(1)
    polls = iter(range(1, 10**6))
    train(
        config_from_dict(config),
        Path(folder),
        evaluate=score_while_training(config_from_dict(config)),
        should_stop=lambda: next(polls) == stop,
        progress=False,
    )


def start(config: Config, folder: Path, *, stop: int = 0, **environ: str) -> subprocess.Popen:
    """:func:`run_task` in a process of its own."""
    return _start([sys.executable, __file__], config, folder, stop, environ)


def start_torchrun(config: Config, folder: Path, processes: int) -> subprocess.Popen:
    """:func:`run_task` in processes of torchrun's."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return _start([*torchrun, f"--nproc-per-node={processes}", __file__], config, folder, 0, {})


def _start(
    command: list[str], config: Config, folder: Path, stop: int, environ: dict[str, str]
) -> subprocess.Popen:
    command = [*command, json.dumps(config.to_dict()), str(folder), str(stop)]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"} | environ)


if __name__ == "__main__":
    run_task(json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
