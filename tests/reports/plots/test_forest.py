"""The differences to the baseline as a picture."""

import pytest

from ablations.table_spec import TableSpec
from reports.frame.cells import frame_cells
from reports.plots.forest import forest
from reports.plots.style import draw, styled
from reports.tables.build import build_tables
from reports.tables.labels import names_for


def forest_of(rows, **spec):
    asked = TableSpec(shape="components", **spec)
    table = build_tables(rows, asked, {}, name="x")[0]
    return table, forest(table, names_for(frame_cells(rows), {}), asked.delta)


def test_every_cell_with_a_verdict_has_its_corrected_interval(frame):
    table, plot = forest_of(frame())
    place = [column.part for column in table.columns].index("verdict")
    verdicts = [row.entries[place].verdict for row in table.rows][1:]
    assert plot.data["name"].tolist() == [
        "messenger off, STQI",
        "MsgShifT, per-frame",
        "MsgShifT, STQI",
    ]
    for (_, row), verdict in zip(plot.data.iterrows(), verdicts, strict=True):
        found = (row["difference"], row["low"], row["high"], row["verdict"])
        assert found == (verdict.mean, verdict.low, verdict.high, verdict.kind)


def test_zero_and_what_is_of_no_interest_are_marked(frame):
    _, plot = forest_of(frame(), delta=2.5)
    with styled():
        axes = draw(plot, 3.25).axes[0]
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((-2.5, 2.5))
    assert axes.lines[0].get_xdata() == [0, 0]
    assert axes.get_xlabel() == "difference in AP to the baseline"


def test_one_seed_or_no_baseline_gives_no_such_plot(frame):
    assert forest_of(frame(seeds=(0,)))[1] is None
    rows = frame()
    table = build_tables(rows, TableSpec(), {}, name="x")[0]
    assert forest(table, names_for(frame_cells(rows), {}), 1.0) is None
