"""Cells that start from another run: shown apart, blocked where it failed."""

import json

import pytest
from invented_runs import make_state, make_store, write

from core.config.presets import preset
from reports.frame.collect import collect
from reports.frame.runs import read_runs
from reports.renderers.markdown import to_markdown
from reports.report import make_report

START = "5ta7700000000000"


def with_start(store, state="done", *, a_seed=False, follow=lambda run: True):
    """Every run begins with one start run, or each seed with its own."""
    for run in read_runs(store, "components").runs:
        if not follow(run):
            continue
        signature = f"{START[:-1]}{run.seed}" if a_seed else START
        folder = store.run(signature)
        config = preset("tiny", {"head.kind": "per_frame"}).to_dict()
        name = f"start-seed{run.seed}" if a_seed else "start"
        write(folder.config_path, {"schema": 1, "name": name, "config": config})
        make_state(folder, state)
        record = json.loads(run.folder.config_path.read_text())
        write(run.folder.config_path, {**record, "start": signature})
    return store


def starts_of(report):
    return next(table for table in report.tables if table.name.endswith("_starts"))


def test_start_runs_have_a_table_of_their_own_and_are_not_compared(tmp_path):
    store = with_start(make_store(tmp_path))
    write(store.run(START).result("ap"), {"figures": {"AP": 0.747}})
    report = make_report(store, "components", plots=False, clips=False)
    main, starts = report.tables[0], starts_of(report)
    assert not any("start" in row.cell for row in main.rows)
    assert starts.name == "components_starts"
    text = to_markdown(starts)
    assert "| start | done | 12 runs | 74.7 |" in text
    assert "nothing is compared with them" in text
    assert "Start runs." in report.page.read_text()


def test_one_start_run_for_all_seeds_is_said_to_leave_out_its_spread(tmp_path):
    store = with_start(make_store(tmp_path))
    said = "3 seeds, all from one start run."
    report = make_report(store, "components", plots=False, page=False)
    assert said in to_markdown(report.tables[0])
    own = with_start(make_store(tmp_path / "own"), a_seed=True)
    report = make_report(own, "components", plots=False, page=False)
    assert said not in to_markdown(report.tables[0])
    assert len(starts_of(report).rows) == 3


def test_without_start_runs_nothing_is_said_of_them(tmp_path):
    report = make_report(make_store(tmp_path), "components", plots=False, page=False)
    assert not any(table.name.endswith("_starts") for table in report.tables)
    assert "start" not in to_markdown(report.tables[0])


@pytest.mark.parametrize("state", ["new", "queued"])
def test_cells_whose_start_run_failed_are_blocked_by_it(tmp_path, state):
    stqi = "head=stqi"
    store = make_store(tmp_path, state=lambda a, s: "queued" if a["head"] == "stqi" else "done")
    store = with_start(store, "failed", follow=lambda run: stqi in run.cell)
    if state == "new":
        for run in read_runs(store, "components").runs:
            if stqi in run.cell:
                (run.folder.state_folder / "queued.json").unlink()
    rows = collect(read_runs(store, "components"))
    blocked = rows[rows["axis.head"] == "stqi"]
    assert set(blocked["state"]) == {"blocked"}
    assert set(blocked["cause"]) == {"by start, which failed (error)"}
    report = make_report(store, "components", plots=False, clips=False)
    text = to_markdown(report.tables[0])
    assert "*blocked*" in text
    assert "seed 0 blocked (by start, which failed (error))" in text
    assert "| start | failed | 6 runs | 1<sup>a</sup> |" in to_markdown(starts_of(report))
    assert "6 blocked" in report.page.read_text()


def test_a_start_run_that_is_lost_or_starts_from_itself_ends_nothing(tmp_path):
    store = make_store(tmp_path, seeds=(0,))
    for run in read_runs(store, "components").runs:
        record = json.loads(run.folder.config_path.read_text())
        start = run.signature if "stqi" in run.cell else "0" * 16
        write(run.folder.config_path, {**record, "start": start})
    starts = read_runs(store, "components").starts
    assert [(start.run.name, start.run.state) for start in starts] == [("0" * 16, "new")]
