"""What all plots share: fonts, symbols, honest axes, names at the ends of lines, colours."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from core.errors import UserError
from reports.plots.forest import _MARKS
from reports.plots.legend import name_lines
from reports.plots.style import COLOURS, Plot, check_font, draw, honest, looks, styled, svg


def drawn(draw_axes, width=3.25):
    with styled():
        plot = Plot("x", "X", pd.DataFrame(), lambda data, figure: draw_axes(figure.subplots()))
        figure = draw(plot, width)
        figure.draw_without_rendering()
    return figure


def cuts(figure):
    return [line for line in figure.axes[0].lines if not isinstance(line.get_marker(), str)]


def test_a_small_difference_stays_small_and_an_axis_without_zero_is_marked():
    def axes(axes):
        axes.plot([0, 1], [100.0, 101.5], "o")
        honest(axes)

    figure = drawn(axes)
    low, high = figure.axes[0].get_ylim()
    assert high - low == pytest.approx(0.2 * (low + high) / 2, rel=0.01)
    assert len(cuts(figure)) == 1


def test_an_axis_with_zero_in_it_has_no_mark():
    def axes(axes):
        axes.plot([-1, 1], [0.0, 5.0], "o")
        axes.set_ylim(0, 6)
        honest(axes, x=True)

    assert cuts(drawn(axes)) == []


def test_symbols_are_set_and_other_dollars_printed():
    def axes(axes):
        axes.set_xlabel("$N_q$ at 5$")
        axes.set_ylabel("5$ or $6")

    figure = drawn(axes)
    assert figure.axes[0].xaxis.label.get_text() == r"$N_q$ at 5\$"
    assert figure.axes[0].xaxis.label.get_parse_math()
    assert not figure.axes[0].yaxis.label.get_parse_math()
    assert "5$ or $6" in svg(Plot("x", "X", pd.DataFrame(), lambda d, f: axes(f.subplots())))


def test_names_at_the_ends_do_not_cover_each_other():
    styles = looks(["a", "b", "c"])
    ends = {"a": (1, 0.50), "b": (1, 0.51), "c": (1, 0.9)}
    figure = drawn(lambda axes: name_lines(axes.figure, axes, styles, ends))
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_names_that_have_no_room_are_a_legend():
    styles = looks(["a" * 60, "b"])
    figure = drawn(
        lambda axes: name_lines(axes.figure, axes, styles, dict.fromkeys(styles, (1, 1)))
    )
    assert len(figure.legends) == 1


def test_a_font_that_is_not_there_is_refused_with_those_that_are_close():
    check_font("STIXGeneral")
    with pytest.raises(UserError, match=r"no font 'DejaVu San' is installed; .*DejaVu Sans"):
        check_font("DejaVu San")


def lightness(colour):
    """CIE L* of the grey that a printer makes of it."""
    red, green, blue = linear(colour)
    return 116 * np.cbrt(0.2126 * red + 0.7152 * green + 0.0722 * blue) - 16


def linear(colour):
    values = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


# Machado, Oliveira, Fernandes 2009: no green cones, no red cones
BLIND = {
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


@pytest.mark.parametrize("kind", list(BLIND))
def test_the_first_four_colours_differ_for_the_colour_blind(kind):
    seen = [np.cbrt(np.clip(np.array(BLIND[kind]) @ linear(c), 0, 1)) for c in COLOURS[:4]]
    assert min(float(np.abs(a - b).max()) for a, b in combinations(seen, 2)) > 0.15


def test_the_first_four_colours_differ_in_grey_or_in_marker():
    shades = [lightness(c) for c in COLOURS[:4]]
    assert max(shades) - min(shades) > 40
    assert len({look.marker for look in looks([str(k) for k in range(8)]).values()}) == 8


def test_verdicts_are_told_by_more_than_colour():
    assert len({(marker, fill) for _, marker, fill in _MARKS.values()}) == len(_MARKS)
