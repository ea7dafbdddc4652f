"""Tables name the code of their runs, and mark cells that other code made."""

from __future__ import annotations

import json

import pytest

from ablations.table_spec import TableSpec
from launch.records.store import Store
from reports.frame.collect import collect
from reports.frame.runs import read_runs
from reports.renderers.markdown import to_markdown
from reports.report import make_report
from reports.tables.build import build_tables


def frozen(run, code, modules, attempt=1):
    """Have an attempt of the run say that it was made by frozen code."""
    record = json.loads(run.folder.provenance(1).read_text())
    record["environment"]["code"] = {"id": code, "modules": modules, "kind": "snapshot"}
    run.folder.provenance(attempt).write_text(json.dumps(record))


@pytest.fixture
def table(make):
    """``table(codes)``: by a function from a run's cell and seed to id and modules of its code."""

    def made(codes, seeds=(0, 1)):
        grid = make(seeds=seeds)
        for run in grid.runs:
            for attempt, code in enumerate(codes(run), start=1):
                frozen(run, *code, attempt)
        rows = collect(read_runs(Store(grid.source.parents[1]), grid.name))
        return grid, build_tables(rows, TableSpec(), {}, name="x")[0], rows

    return made


def marks(table):
    texts = {note.mark: note.text for note in table.notes if note.mark}
    return {row.cell: [texts[mark] for mark in row.marks] for row in table.rows}


def test_cells_of_other_code_are_marked_and_the_command_shows_what_differs(table):
    def codes(run):
        edited = run.axes["head"] == "per_frame" and run.axes["messenger"] == "off"
        return [("b" * 16, "m2")] if edited and run.seed == 1 else [("a" * 16, "m1")]

    grid, built, _ = table(codes)
    found = {cell: said for cell, said in marks(built).items() if said}
    assert found == {
        "messenger=off head=per_frame": [f"in part made by other code than most: {'b' * 16}."]
    }
    general = " ".join(note.text for note in built.notes if not note.mark)
    assert f"different versions of the code: {'a' * 16}, {'b' * 16}." in general
    report = make_report(Store(grid.source.parents[1]), "components", plots=False, clips=False)
    page = report.page.read_text()
    signature = next(r.signature for r in grid.runs if codes(r)[0][1] == "m2")
    assert f"what differs: tevit diff {grid.runs[0].signature} {signature}" in page
    assert f"{'b' * 16} (frozen in the store)" in page


def test_other_words_in_the_checkout_mark_no_cell(table):
    _, built, rows = table(lambda run: [(f"{run.seed}" * 16, "m1")])
    assert not any(marks(built).values())
    assert "different versions" not in to_markdown(built)
    assert set(rows["run.code"]) == {"0" * 16, "1" * 16}


def test_where_every_cell_was_resumed_by_new_code_no_cell_stands_out(table):
    _, built, rows = table(lambda run: [("a" * 16, "m1"), ("b" * 16, "m2")])
    assert not any(marks(built).values())
    assert "different versions of the code" in to_markdown(built)
    assert set(rows["run.code"]) == {f"{'a' * 16}; {'b' * 16}"}
