"""Cells that do in milliseconds what can happen to a cell; they import nothing heavy.

What a cell does stands in ``toy.json`` of its run folder: ``steps``, ``sleep`` (seconds a step),
``checkpoint_every`` and the misdeeds ``raise_at``, ``exit_at``, ``hard_exit_at``, ``kill_at``,
``crash_at``, ``allocate_at``, ``block_at``, ``freeze_at`` (even Python's other threads),
``fill_disk_at``, ``wait_at`` (step numbers), each done once: on attempt ``misdeed_on`` (default
1), or on every attempt where that is 0.  One that waits does so until it is told to stop, or its
folder has a file ``go``: what is to happen to a cell while it runs happens in time, however slow
the machine.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

from core.files import append_line, read_json, write_json


def count_steps(run, *, attempt, should_stop, leader=True):
    """Train by hashing step numbers; the "AP" tells whether every step counted exactly once."""
    toy = read_json(run.path / "toy.json")
    state = read_json(run.checkpoint) if run.checkpoint.exists() else {"step": 0, "value": 1}
    steps = toy.get("steps", 3)
    if leader:
        write_json(run.provenance(attempt), {"attempt": attempt, "from_step": state["step"]})
    while state["step"] < steps:
        step = state["step"] + 1
        if attempt == toy.get("misdeed_on", 1) or toy.get("misdeed_on") == 0:
            misbehave(toy, step, run, should_stop)
        time.sleep(toy.get("sleep", 0.0))
        state = {"step": step, "value": (state["value"] * 31 + step) % 1_000_003}
        if leader:
            line = {"step": step, "steps": steps, "loss": 1 / step, "attempt": attempt}
            append_line(run.history, json.dumps(line))
        if leader and (step % toy.get("checkpoint_every", 1) == 0 or should_stop()):
            write_json(run.checkpoint, state)
        if should_stop():
            print(f"stopped at step {step}")
            return False
    if leader:
        for kind in run.measure() or ("ap",):
            write_json(run.result(kind), {"kind": kind, "figures": {"AP": state["value"] / 1e6}})
    print(f"finished at step {steps}")
    return True


def misbehave(toy, step, run, should_stop):
    if step == toy.get("raise_at"):
        raise ValueError(f"step {step} went wrong")
    if step == toy.get("exit_at"):
        sys.exit(3)
    if step == toy.get("hard_exit_at"):
        os._exit(0)
    if step == toy.get("kill_at"):
        os.kill(os.getpid(), signal.SIGKILL)
    if step == toy.get("crash_at"):
        ctypes.string_at(0)  # a segmentation fault
    if step == toy.get("allocate_at"):
        allocate(toy.get("megabytes", 2000), toy.get("pause", 0.05))
    if step == toy.get("block_at"):
        block_in_c(ctypes.CDLL(None))
    if step == toy.get("freeze_at"):
        block_in_c(ctypes.PyDLL(None))  # which does not give Python's lock back
    if step == toy.get("wait_at"):
        while not (should_stop() or (run.path / "go").exists()):
            time.sleep(0.05)
    if step == toy.get("fill_disk_at"):
        write_json(run.result("ap"), {"filler": "x" * 10_000_000})


def block_in_c(library):
    """One call into C that no signal interrupts: a mutex locked twice."""
    mutex = ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


def allocate(megabytes, pause):
    kept = []
    for _ in range(megabytes // 50):
        kept.append(b"\1" * 50_000_000)
        time.sleep(pause)
    time.sleep(60)


def expected_ap(steps):
    value = 1
    for step in range(1, steps + 1):
        value = (value * 31 + step) % 1_000_003
    return value / 1e6


def write_toy(folder: Path, **toy):
    write_json(folder / "toy.json", toy)
