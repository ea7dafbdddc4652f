"""Fixtures for launching: cells that take milliseconds, heartbeats that are quick."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm
from slurm_cluster import Cluster, install, why_not
from toy_grids import slurm_target

from core import preset
from core.files import write_json
from launch.executors import slurm_queries as slurm
from launch.node import stop
from launch.records import lease
from launch.records.store import Store
from launch.submit.launcher import launch
from launch.submit.plan import LaunchRequest
from launch.submit.retry import RetryRules
from launch.watch.survey import survey

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _toys_are_importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))


@pytest.fixture
def quick(monkeypatch):
    """Five heartbeats a second, here and in processes started from here."""
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.2)
    monkeypatch.setenv("TEVIT_HEARTBEAT", "0.2")


@pytest.fixture
def signals(monkeypatch):
    """A fresh record of signals in place of the process's own."""
    fresh = stop.Stop()
    monkeypatch.setattr(stop, "install", lambda: fresh)
    return fresh


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def make_run(store):
    """``make_run("a", steps=3, raise_at=2)``: a run folder with a toy cell in it."""

    def make(signature="a" * 16, *, measure=("ap",), name="cell", **toy):
        run = store.run(signature)
        run.create(schema=1, name=name, config=preset("tiny"), measure=measure)
        write_json(run.path / "toy.json", toy)
        return run

    return make


@pytest.fixture
def fake_slurm(tmp_path, monkeypatch):
    """A SLURM of mocked commands on PATH."""
    fake = FakeSlurm(tmp_path / "fake_slurm")
    fake.install(monkeypatch)
    slurm.settings.cache_clear()
    slurm.cluster_name.cache_clear()
    yield fake
    slurm.settings.cache_clear()
    slurm.cluster_name.cache_clear()


@pytest.fixture
def toys(store):
    """``toys(grid, steps=3, ...)``: what every cell of the grid does when it runs."""

    def prepare(grid, **toy):
        for cell in grid.cells:
            write_json(store.run(cell.signature).path / "toy.json", toy)
        return grid

    return prepare


@pytest.fixture
def go(store, toys):
    """``go(grid)``: launch it; returns the ids of the jobs made."""

    def run(grid, rules=None, **profile):
        launched = launch(
            LaunchRequest(store, grid, slurm_target(**profile), rules or RetryRules())
        )
        return [job_id for _, job_id in launched.batches]

    return run


@pytest.fixture
def look(store):
    """``look(grid)``: the state of each cell; writes down what is found."""

    def run(grid, *, record=True, notes=False):
        found = survey(store, grid.measures(), record=record)
        states = [found.cells[c.signature] for c in grid.cells]
        if notes:
            return [s.note for s in states]
        return [(s.state.name, s.state.cause) for s in states]

    return run


@pytest.fixture(scope="session")
def slurm_cluster():
    """A real SLURM for the whole session; installed first where the tests may not be skipped."""
    problem = why_not()
    if problem and "install" in problem and os.environ.get("TEVIT_NO_SKIP") == "1":
        install()
        problem = why_not()
    if problem:
        pytest.skip(problem)
    # not among pytest's folders, which no other user can read
    with tempfile.TemporaryDirectory(prefix="tevit-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        cluster = Cluster(Path(folder) / "slurm")
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def real_slurm(slurm_cluster, monkeypatch):
    """The real SLURM, as the one that this process uses, and heartbeats of a second."""
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, slurm_cluster.environment[name])
    monkeypatch.setenv("TEVIT_HEARTBEAT", "1")
    monkeypatch.setattr(lease, "BEAT_SECONDS", 1.0)
    slurm.settings.cache_clear()
    slurm.cluster_name.cache_clear()
    yield slurm_cluster
    slurm.settings.cache_clear()
    slurm.cluster_name.cache_clear()
