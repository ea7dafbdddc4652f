"""`tevit plan` and `launch` with a price: budget, probe, and what was spent."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cli import app
from core.errors import UserError
from launch import commands
from launch.records.store import Store

GRID = """
base: tiny
overrides: {train.steps: 100, train.warmup: 10}
axes:
  train.lr: [0.001, 0.002]
  train.clips: [1, 2]
seeds: 1
measure: [ap]
"""


@pytest.fixture
def tevit(store, tmp_path, monkeypatch):
    """``tevit("plan", ...)`` of a small grid: its output; faults are raised."""
    path = tmp_path / "small.yaml"
    path.write_text(GRID)
    monkeypatch.setenv("TEVIT_RUNS", str(store.root))
    monkeypatch.setenv("TEVIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "80")

    def run(command, *words):
        result = CliRunner().invoke(app, [command, str(path), *words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    run.grid = path
    return run


def test_plan_prices_cells_and_refuses_what_exceeds_the_budget(tevit, finished, tiny, store):
    for clips in (1, 2):
        finished(tiny(9, **{"train.steps": 50, "train.warmup": 10, "train.clips": clips}),
                 step_s=36.0 * clips, rest_s=0.1, threads=1)  # fmt: skip
    shown = tevit("plan", "--no-costs", "--executor", "local")
    assert shown.count("1:00:00") == 2 and shown.count("2:00:00") == 2
    assert "price: 6 (4.62 to 7.8) core hours, 6:00:00 on the clock" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "price: 6" in tevit("plan", "--no-costs", "--executor", "local", "--budget", "7h")
    for command in (["plan", "--no-costs"], ["launch"]):
        with pytest.raises(UserError, match=r"6 core hours .*exceeds --budget 5h; nothing was"):
            tevit(*command, "--executor", "local", "--budget", "5h")
    assert not store.grid_names() and len(store.existing()) == 2


def test_a_probe_is_a_short_run_of_the_dearest_cell_whose_price_is_unknown(
    tevit, finished, store, monkeypatch
):
    probed = []

    def run_launch(request, options):
        (cell,) = request.grid.cells
        executor = request.target.executor.name
        probed.append((request.grid.name, cell.name, options.wait, executor))
        finished(cell.config, step_s=2.0, threads=1)
        return True

    monkeypatch.setattr(commands, "run_launch", run_launch)
    words = ("plan", "--no-costs", "--executor", "local")
    assert "price: unknown: no finished run" in tevit(*words)
    with pytest.raises(UserError, match="is unknown, so --budget 1h cannot be kept"):
        tevit(*words, "--budget", "1h")
    shown = tevit(*words, "--probe")
    assert probed == [("small-probe", "probe-lr=0.001,clips=2,s0", True, "local")]
    assert "price: unknown for 2 of 4 cells" in shown and shown.count("0:03:30") >= 2
    assert {Store(store.root).run(s).config().train.steps for s in store.existing()} == {20}
    tevit(*words, "--probe")
    assert probed[1][1] == "probe-lr=0.001,clips=1,s0"
    tevit(*words, "--probe")
    assert len(probed) == 2


@pytest.mark.slow
def test_a_real_probe_prices_the_grid_and_the_launch_says_what_was_spent(tevit, store):
    tevit.grid.write_text(
        "base: tiny\noverrides: {train.steps: 21, head.stages: 1, data.synthetic.videos: 10}\n"
        "axes: {train.lr: [0.001, 0.002]}\nseeds: 1\nmeasure: [ap]\n"
    )
    words = ("--executor", "inline")
    shown = tevit("plan", "--no-costs", *words, "--probe")
    assert "price: unknown" not in shown and "small-probe" in store.grid_names()
    tevit("launch", *words, "--budget", "1h")
    assert "core hours in 2 finished runs; predicted: " in tevit("status")
