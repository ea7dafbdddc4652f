import numpy as np
import pytest
from invented_runs import COMPONENTS
from scipy import stats

from benchmarks.figures import FIGURES
from reports.frame.cells import frame_cells
from reports.frame.collect import collect
from reports.plots.effects import effects_plots
from reports.plots.style import draw, styled
from reports.tables.labels import names_for


def plots_of(grid):
    cells = frame_cells(collect(grid))
    return effects_plots(names_for(cells, {}), FIGURES["AP"])


def test_a_point_is_the_mean_over_seeds_with_its_t_interval(make):
    ap = {0: 0.30, 1: 0.32, 2: 0.37}
    (plot,) = plots_of(make(ap=lambda a, s: ap[s] + 0.1 * (a["head"] == "stqi")))
    row = plot.data[(plot.data["series"] == "MsgShifT") & (plot.data["value"] == "STQI")].iloc[0]
    margin = stats.t.ppf(0.975, 2) * np.std([40, 42, 47], ddof=1) / np.sqrt(3)
    expected = (43.0, 43 - margin, 43 + margin, 3)
    assert (row["mean"], row["low"], row["high"], row["seeds"]) == pytest.approx(expected)
    with styled():
        figure = draw(plot, 3.25)
    assert {text.get_text() for text in figure.axes[0].texts} == {"messenger off", "MsgShifT"}


def test_other_axes_are_averaged_seed_by_seed(make):
    axes = {**COMPONENTS, "queries": {str(n): {"head.queries": n} for n in (5, 10)}}
    ap = lambda a, s: 0.3 + s / 100 + 0.02 * (a["queries"] == "10")  # noqa: E731
    plots = plots_of(make(axes=axes, ap=ap))
    assert len(plots) == 3
    assert plots[0].data["mean"].tolist() == pytest.approx([32.0] * 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": (0,)},
        {"state": lambda a, s: "new"},
        {"split": lambda a, s: a["head"]},
        {"state": lambda a, s: "failed" if a == {"messenger": "on", "head": "stqi"} else "done"},
    ],
)
def test_without_two_seeds_everywhere_there_is_no_such_plot(make, changes):
    assert plots_of(make(**changes)) == []
