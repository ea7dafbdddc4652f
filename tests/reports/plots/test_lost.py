"""AP lost to each kind of error, as a plot and as columns of a table."""

import pytest
from invented_runs import plots_of

from ablations.table_spec import TableSpec
from benchmarks.diagnosis.errors import KINDS
from reports.frame.collect import collect
from reports.plots.style import draw, styled
from reports.renderers.formats import FORMATS
from reports.tables.build import build_tables

ASKED = ("ap", "tracking", "errors")


def test_each_cell_has_a_bar_of_every_kind(make):
    grid = make(measure=ASKED)
    plot = plots_of(grid)["ap_lost"]
    cells = plot.data["cell"].nunique()
    assert len(plot.data) == cells * len(KINDS)
    assert set(plot.data["kind"]) == set(KINDS)
    assert (plot.data["seeds"] == 3).all()
    first = plot.data[plot.data["cell"] == plot.data["cell"].iloc[0]]
    ap, losses = first["AP"].iloc[0], first.set_index("kind")["AP lost"]
    assert losses["mask"] == pytest.approx(0.3 * (100 - ap))
    with styled():
        figure = draw(plot, 4.3)
    texts = [text.get_text().strip() for text in figure.axes[0].texts]
    assert texts[0] == f"AP {ap:.1f}"
    named = {text.get_text() for text in figure.legends[0].get_texts()}
    assert named == set(KINDS) - {"duplicate"}  # which costs nothing


def test_without_errors_there_is_no_plot(make):
    grid = make(measure=("ap",))
    assert "ap_lost" not in plots_of(grid)


def test_cells_without_errors_are_counted(make):
    grid = make(measure=ASKED, state=lambda a, s: "failed" if a["head"] == "stqi" else "done")
    plot = plots_of(grid)["ap_lost"]
    assert "2 of 4 cells lack these figures (see table)." in plot.notes


def test_a_table_has_the_kinds_below_one_head(make):
    grid = make(measure=ASKED)
    spec = TableSpec.model_validate({"columns": ["AP", "tracking", "lost"]})
    table = build_tables(collect(grid), spec, {}, name="lost")[0]
    above = [column.above for column in table.columns]
    assert above.count("AP lost to") == len(KINDS)
    text = FORMATS["csv"].written(table)
    assert "AP lost to: identity" in text.splitlines()[0]
    assert "ID switches" in text.splitlines()[0]
