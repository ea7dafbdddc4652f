"""Finished runs whose times are known, written by what writes real ones."""

from __future__ import annotations

import pytest

from ablations.cell import Cell
from benchmarks.machine import environment as machine
from core import preset
from core.files import write_json
from core.training.history import Metrics, append_history
from launch.node.job_environment import JobEnvironment
from launch.node.provenance import write_provenance
from launch.price.observed import takes_steps
from launch.records import lease
from launch.records.process import myself

FACTS = machine.environment(with_diff=False)


@pytest.fixture
def finished(store, monkeypatch):
    """``finished(config, step_s=0.5, ...)``: a run that took so long, as a job would leave it."""

    def make(config, *, step_s=0.5, rest_s=10.0, measure=("ap",), multiply_adds=None, peak=2**30,
             joules=None, busy=None, gpu=None, threads=None, tasks=1, batch=None,
             attempts=1):  # fmt: skip
        cell = Cell("cell", config, {}, measure)
        run = store.run(cell.signature)
        run.create(schema=1, name="cell", config=config, measure=measure)
        names = [{"name": gpu, "memory": 1, "capability": "9.0"}] if gpu else []
        cores = {**FACTS["threads"], **({"intra_op": threads} if threads else {})}
        facts = {**FACTS, "gpus": names, "threads": cores}
        monkeypatch.setattr(machine, "environment", lambda: facts)
        place = JobEnvironment(tasks=tasks).facts() | {"batch": batch, "index": 0}
        for _ in range(attempts):
            claim = lease.acquire(run.state_folder, myself(**place))
            write_provenance(run, claim.number)
            claim.end({"outcome": "done"})
        steps = config.train.steps if takes_steps(measure) else 0
        metrics = Metrics(config)
        for step in (1, steps) if steps else ():
            metrics.count(step_s)
            line = metrics.line(step, {"loss_cls": 1.0}, 1e-3, 1.0)
            append_history(run.history, {**line, "time": 1e9 + step * step_s})
        for kind in measure:
            figures = {"total": multiply_adds, "parameters": 1} if kind == "flops" else {"AP": 0.5}
            write_json(run.result(kind), {"kind": kind, "figures": figures})
        energy = {"why_not": "none"} if joules is None else {"joules": joules, "attempts": 1}
        spent = {"host_peak": peak, "gpu_peak": None, "energy": energy, "busy": busy}
        write_json(run.spent, {"schema": 1, **spent})
        write_json(
            run.done_path,
            {"wall_s": steps * step_s + rest_s, "attempts": attempts, "measure": list(measure)},
        )
        return run

    return make


@pytest.fixture
def tiny():
    """``tiny(seed=1, **{"train.steps": 5})``: a small config."""
    return lambda seed=0, **fields: preset("tiny", {"seed": seed, **fields})
