"""Plots inside the page: as SVG that takes the page's colours, light or dark."""

from __future__ import annotations

import re
from urllib.parse import quote

from reports.html import Markup, join, tag
from reports.plots.style import COLOURS, GRID, INK, Plot, svg
from reports.renderers.html import text_html
from reports.tables.symbols import plain

_THEME = {
    **{colour: f"var(--c{place})" for place, colour in enumerate(COLOURS)},
    INK: "currentColor",
    "#000000": "currentColor",
    "#ffffff": "var(--paper)",
    "white": "var(--paper)",
    GRID: "var(--rule)",
}
_COLOUR = re.compile("|".join(map(re.escape, _THEME)))
_TAG = re.compile(r"<[^<>]+>")
LARGEST_DATA = 200_000  # characters that are worth carrying in the page


def plot_figure(plot: Plot) -> Markup:
    """The plot with title, notes and its data to download."""
    notes = tag("ul", *(tag("li", text_html(note)) for note in plot.notes), class_="notes")
    return tag(
        "figure", tag("figcaption", text_html(plot.title)), _themed(plot), notes, _data(plot)
    )


def download(name: str, content: str, label: str, kind: str = "text/plain") -> Markup:
    """A link that saves ``content``, which the page carries."""
    return tag("a", label, download=name, href=f"data:{kind};charset=utf-8,{quote(content)}")


def _data(plot: Plot) -> Markup:
    content = plot.data.to_csv(index=False)
    if len(content) > LARGEST_DATA:
        return tag("p", f"Data: plots/{plot.name}.csv beside this page.", class_="downloads")
    link = download(f"{plot.name}.csv", content, "Data (CSV)")
    return tag("p", link, class_="downloads")


def _themed(plot: Plot) -> Markup:
    """The page's colours for the plot's, ids that no other drawing of the page has, and a title.

    Only tags are changed, never what the plot says.
    """

    def theme(match: re.Match[str]) -> str:
        text = _COLOUR.sub(lambda colour: _THEME[colour[0]], match[0])
        return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{plot.name}-", text)

    drawing = _TAG.sub(theme, svg(plot))
    name, about = f"{plot.name}-title", f"{plot.name}-about"
    return join(
        [
            Markup(f'{drawing[:4]} role="img" aria-labelledby="{name}" aria-describedby="{about}"'),
            Markup(drawing[4 : drawing.index(">") + 1]),
            tag("title", plain(f"{plot.title}."), id=name),
            tag("desc", plain(" ".join(plot.notes)), id=about),
            Markup(drawing[drawing.index(">") + 1 :]),
        ]
    )
