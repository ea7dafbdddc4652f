"""Records of runs, damaged: what reads them works, or one error names the file."""

import io
import json
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented_runs import PROVENANCE, make_store, plots_of
from rich.console import Console

from benchmarks.figures import FIGURES
from core.files import write_json
from launch.commands import failure_groups
from launch.diff import diff_lines
from launch.price.estimate import Point, Rule
from launch.price.observed import observe
from launch.price.record import spent_of
from launch.records.journal import Batch, Journal
from launch.records.store import Store
from launch.reproduce import recipe
from launch.tensorboard import export_tensorboard
from launch.watch.display import failure_text, status_table
from launch.watch.status import status_json, status_rows
from launch.watch.survey import survey
from reports.frame.cells import frame_cells
from reports.frame.collect import collect
from reports.frame.runs import read_runs
from reports.plots.style import WIDTHS, draw, styled
from reports.report import make_report
from tests.core.fuzz.mutations import edited_bytes, edited_trees, fuzzed, works_or_one_error

LOOKED = settings(fuzzed, max_examples=max(fuzzed.max_examples // 2, 1))
REPORTED = settings(fuzzed, max_examples=max(fuzzed.max_examples // 8, 1))
SOUND: set[str] = set()
"""What the plots of the sound store show."""


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
    store = make_store(
        tmp_path_factory.mktemp("runs"),
        seeds=(0,),
        state=state,
        measure=("ap", "errors", "flops", "fps"),
    )
    for cell in store.manifest("components").cells:
        run = store.run(cell.signature)
        config = json.loads(run.config_path.read_text()) | {"measure": ["ap", "errors"]}
        run.config_path.write_text(json.dumps(config))
        attempt = {"attempt": 1, "time": "2026-01-02", "attempt_of": {"tasks": 1}, "trains": True}
        record = {**PROVENANCE, **attempt, "environment": ENVIRONMENT}
        run.provenance(1).write_text(json.dumps(record))
        if run.done_path.exists():
            run.spent.write_text(json.dumps(SPENT))
        if run.queued_path.exists():
            cells = ((cell.signature,), (cell.name,))
            function = "launch.node.job:run_cell"
            Journal(store).begin(Batch("b", "components", "local", *cells, function, created=0.0))
            job = {"job_id": "1", "time": 0.0, "adopted": False}
            write_json(Journal(store).folder / "b.job.json", job)
    prices = {cell.signature: PRICE for cell in store.manifest("components").cells}
    write_json(store.journal / "prices" / "components.json", {"schema": 1, "cells": prices})
    assert len(records(store)) > 15
    drawn(store)
    SOUND.update(plot.data.to_csv() for plot in plots_in(store))
    return store


SPENT = {
    "host_peak": 2**30,
    "gpu_peak": None,
    "busy": 0.5,
    "energy": {"attempts": 1, "joules": 1e5, "source": "RAPL", "why_not": None},
}

RANGE = {"low": 0.1, "mid": 0.2, "high": 0.4}
PRICE = {**RANGE, "units": 2, "gpu": False, "alone": True, "watt_hours": RANGE}


def records(store):
    return sorted(p for p in store.root.rglob("*.json*") if store.root / "reports" not in p.parents)


def look(store):
    """What `tevit status` and `tevit failures` do."""
    manifest = store.manifest("components")
    found = survey(store, manifest.measures())
    rows = status_rows(store, manifest.all_cells, found)
    Console(file=io.StringIO()).print(status_table("components", rows, 9))
    status_json(manifest, rows, found.problems)
    failure_text(failure_groups(store, manifest))


def report(store):
    """What `tevit report --paper` does, but for the plots."""
    paper = store.root / "reports" / "paper"
    make_report(store, "components", formats=["md"], plots=False, clips=False, paper=paper)


def drawn(store):
    """The plots of it, as far as they show other data than those of the sound store."""
    for plot in plots_in(store):
        if plot.data.to_csv() not in SOUND:
            with styled():
                draw(plot, WIDTHS["column"]).draw_without_rendering()


def plots_in(store):
    return list(plots_of(read_runs(store, "components")).values())


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


@contextmanager
def damaged(data, store):
    """One record is edited, as JSON or as bytes; afterwards the store is as it was."""
    held = {path: path.read_bytes() for path in records(store)}
    path = data.draw(st.sampled_from(sorted(held)))
    if held[path] and data.draw(st.booleans()):
        lines = [held[path]] if path.suffix == ".json" else held[path].splitlines()
        place = data.draw(st.integers(0, len(lines) - 1))
        lines[place] = json.dumps(data.draw(edited_trees(json.loads(lines[place])))).encode()
        path.write_bytes(b"\n".join(lines))
    else:
        path.write_bytes(data.draw(edited_bytes(held[path] or b"\n")))
    try:
        with works_or_one_error(path, path.parent):
            yield path
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


@pytest.fixture(scope="module")
def sound(store):
    return figures(store)


@pytest.mark.slow
@REPORTED
@given(data=st.data())
def test_a_figure_is_one_of_its_own_record(store, sound, data):
    """Those of other runs stay, and what is no number is none."""
    with damaged(data, store) as path:
        said = figures(Store(store.root))
        changed = {of: value for of, value in said.items() if sound.get(of) != value}
        if not changed or store.grids in path.parents:  # which says itself what the cells are
            return
        tree = json.loads(path.read_bytes())
        for (signature, key), value in changed.items():
            assert store.run(signature).path in path.parents
            figure = FIGURES[key]
            known = numbers(tree, figure.column.rpartition(".")[2])
            assert value in [figure.printed(number) for number in known]


def figures(store):
    """Each figure of each cell, by its run's signature and the figure's key."""
    cells = frame_cells(collect(read_runs(store, "components")))
    return {
        (cell.first("signature"), key): value
        for cell in cells
        for key, figure in FIGURES.items()
        for value in cell.values(figure).values()
    }


def numbers(tree, name):
    """All that JSON holds under that name; truth values are none."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, dict | list):
            yield from numbers(value, name)
        elif key == name and type(value) in (int, float):
            yield value


@pytest.mark.slow
@REPORTED
@given(data=st.data())
@pytest.mark.parametrize("use", [report, drawn, plan])
def test_reports_plots_and_plans(store, use, data):
    with damaged(data, store):
        use(Store(store.root))


def test_the_sound_records_are_sound(store, sound):
    for use in (look, report, drawn, plan):
        use(store)
    assert len(observe(store)) == 2
    assert spent_of(store, store.manifest("components"))[0].runs == 2
    assert len(sound) > 40
