"""Records of runs, damaged: what reads them works, or one error names the file."""

import io
import json
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented_runs import PROVENANCE, make_store
from rich.console import Console

from launch.commands import failure_groups
from launch.diff import diff_lines
from launch.price.estimate import Point, Rule
from launch.price.observed import observe
from launch.price.record import spent_of
from launch.records.store import Store
from launch.reproduce import recipe
from launch.tensorboard import export_tensorboard
from launch.watch.display import failure_text, status_table
from launch.watch.status import measures_by_signature, status_json, status_rows
from launch.watch.survey import survey
from reports.made import make
from reports.paper.statement import statement
from reports.report import make_report
from tests.core.fuzz.mutations import edited_bytes, edited_trees, fuzzed, works_or_one_error

LOOKED = settings(fuzzed, max_examples=max(fuzzed.max_examples // 2, 1))
REPORTED = settings(fuzzed, max_examples=max(fuzzed.max_examples // 8, 1))


def state(axes, seed):
    if axes["messenger"] == "on":
        return "done"
    return {"per_frame": "failed", "stqi": "queued"}[axes["head"]]


ENVIRONMENT = {
    **PROVENANCE["environment"],
    "cpu": {"model": "Xeon", "cores": 2},
    "threads": {"intra_op": 1},
    "code": {"id": "0123456789abcdef", "modules": "0123", "kind": "snapshot"},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("runs"), seeds=(0,), state=state)
    for cell in store.manifest("components").cells:
        run = store.run(cell.signature)
        config = json.loads(run.config_path.read_text()) | {"measure": ["ap", "fps", "flops"]}
        run.config_path.write_text(json.dumps(config))
        attempt = {"attempt": 1, "time": "2026-01-02", "attempt_of": {"tasks": 1}, "trains": True}
        record = {**PROVENANCE, **attempt, "environment": ENVIRONMENT}
        run.provenance(1).write_text(json.dumps(record))
        if run.done_path.exists():
            run.spent.write_text(json.dumps(SPENT))
    assert len(records(store)) > 12
    return store


SPENT = {
    "host_peak": 2**30,
    "gpu_peak": None,
    "busy": 0.5,
    "energy": {"attempts": 1, "joules": 1e5, "source": "RAPL", "why_not": None},
}


def records(store):
    return sorted(p for p in store.root.rglob("*.json*") if store.root / "reports" not in p.parents)


def look(store):
    """What `tevit status` and `tevit failures` do."""
    manifest = store.manifest("components")
    found = survey(store, measures_by_signature(manifest))
    rows = status_rows(store, manifest.all_cells, found)
    Console(file=io.StringIO()).print(status_table("components", rows, 9))
    status_json(manifest, rows, found.problems)
    failure_text(failure_groups(store, manifest))


def report(store):
    make_report(store, "components", formats=["md"], plots=False, clips=False)


def plan(store):
    """What `tevit plan`, `reproduce`, `diff` and `export tensorboard` read."""
    manifest = store.manifest("components")
    runs = [run for run in observe(store) if run.step_s is not None]
    points = [Point(run.load.key, run.load.family, run.load.step_work, run.step_s) for run in runs]
    Rule(points)
    spent_of(store, manifest)
    done = [store.run(cell.signature) for cell in manifest.cells if cell.axes["messenger"] == "on"]
    for run in done:
        recipe(run, store.runs, ENVIRONMENT)
    list(diff_lines(*done, patch=True))
    export_tensorboard(store, manifest, store.root / "events")


def paper(store):
    """The statement of `tevit report --paper`."""
    made = make(store, "components")
    statement(made.grid, made.frame, made.tables)


@contextmanager
def damaged(data, store):
    """One record is edited, as JSON or as bytes; afterwards the store is as it was."""
    held = {path: path.read_bytes() for path in records(store)}
    path = data.draw(st.sampled_from(sorted(held)))
    if path.suffix == ".json" and data.draw(st.booleans()):
        path.write_text(json.dumps(data.draw(edited_trees(json.loads(held[path])))))
    else:
        path.write_bytes(data.draw(edited_bytes(held[path] or b"\n")))
    try:
        with works_or_one_error(path, path.parent):
            yield
    finally:
        for made in set(records(store)) - set(held):
            made.unlink()
        for record, content in held.items():
            record.write_bytes(content)


@pytest.mark.slow
@LOOKED
@given(data=st.data())
def test_status_and_failures(store, data):
    with damaged(data, store):
        look(Store(store.root))


@pytest.mark.slow
@REPORTED
@given(data=st.data())
@pytest.mark.parametrize("use", [report, plan, paper])
def test_reports_plans_and_papers(store, use, data):
    with damaged(data, store):
        use(Store(store.root))


def test_the_sound_records_are_sound(store):
    for use in (look, report, plan, paper):
        use(store)
    assert len(observe(store)) == 2
