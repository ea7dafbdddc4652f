"""Reports of grids whose seeds were added round by round: the looks are accounted for, and said."""

from dataclasses import replace

import numpy as np

from ablations.analysis.limits import Limits
from ablations.analysis.sequential import rounds
from ablations.table_spec import TableSpec
from reports.findings.find import find
from reports.frame.cells import frame_cells
from reports.frame.collect import collect
from reports.tables.build import build_tables
from reports.tables.labels import names_for

LIMITS = {"first": 3, "most": 6, "until": 2.0}
NOISE = np.random.default_rng(5).normal(0, 0.01, (4, 10))
BASE = "messenger=off head=per_frame"


def ap(axes, seed):
    a, b = axes["messenger"] == "on", axes["head"] == "stqi"
    return float(0.3 + 0.12 * b + NOISE[2 * a + b, seed] + seed / 50)


def answered(grid, limits=LIMITS, **spec):
    grid = replace(grid, manifest=replace(grid.manifest, limits=limits))
    parsed = TableSpec(shape="components", **spec)
    frame = collect(grid)
    given = grid.manifest.limits
    table = build_tables(frame, parsed, {}, name="x", limits=given)[0]
    return find(grid, frame, parsed, "x", names_for(frame_cells(frame), {})), table


def verdicts_of(table):
    place = [column.part for column in table.columns].index("verdict")
    return {row.cell: row.entries[place].verdict for row in table.rows}


def test_verdicts_are_those_of_the_rounds_and_the_looks_stand_under_the_table(make):
    grid = make(ap=ap, seeds=range(5))
    _, table = answered(grid)
    limits = replace(grid.manifest, limits=LIMITS).limits
    spec = TableSpec(shape="components")
    protocol = build_tables(collect(grid), spec, {}, name="x", limits=limits)[-1]
    baseline = NOISE[0, :5]
    names = {"messenger=off head=stqi": 1, "messenger=on head=per_frame": 2}
    names["messenger=on head=stqi"] = 3
    gain = {1: 12.0, 2: 0.0, 3: 12.0}
    differences = {
        name: (gain[row] + 100 * (NOISE[row, :5] - baseline)).tolist()
        for name, row in names.items()
    }
    now = rounds(differences, Limits(**LIMITS))
    for name, verdict in verdicts_of(table).items():
        if name != BASE:
            assert verdict.kind == now.verdicts[name].kind
            assert (verdict.seeds, verdict.more) == (
                now.verdicts[name].seeds,
                now.verdicts[name].more,
            )
    assert "corrected over 3 cells and all looks" in " ".join(map(str, table.notes))
    text = " ".join(label.text for row in protocol.rows for label in row.labels)
    assert f"look {now.look} of at most 4" in text
    assert "interval of all looks together says; no different: within ±2 AP" in text


def test_without_limits_nothing_is_said_of_looks(make):
    _, table = answered(make(ap=ap, seeds=range(5)), limits=None)
    assert "look" not in " ".join(map(str, table.notes))


def test_the_sentence_is_of_verdicts_and_the_effects_say_what_they_leave_out(make):
    findings, _ = answered(make(ap=ap, seeds=range(5)))
    assert "whether the gains add up" not in findings.sentence
    assert "STQI" in findings.sentence
    effects = next(table for table in findings.tables if table.name == "x_effects")
    assert "do not account for that" in " ".join(map(str, effects.notes))


def test_a_cell_that_failed_holds_no_other_up(make):
    def state(axes, seed):
        failing = (axes["messenger"], axes["head"], seed) == ("on", "per_frame", 1)
        return "failed" if failing else "done"

    found = verdicts_of(answered(make(ap=ap, seeds=range(5), state=state))[1])
    assert found["messenger=off head=stqi"].kind == "better"
