"""A table in HTML, sortable where the page's script runs, readable where it does not."""

from __future__ import annotations

from reports.html import Markup, join, safe, tag
from reports.renderers.typeset import Fragments, Line, Place, Styles, in_markup, typeset, words
from reports.tables.model import Table
from reports.tables.symbols import parts_of


def to_html(table: Table) -> Markup:
    """A ``figure`` with caption, table and notes; no styles of its own."""
    text = typeset(table)
    rows = []
    if text.across:
        spans = [tag("th", above, colspan=count, class_="above") for above, count in text.across]
        before = len(text.fields) + len(text.heads) - len(table.columns)
        rows.append(tag("tr", tag("td", colspan=before), *spans, class_="above"))
    fields = [tag("th", _text(field), scope="col") for field in text.fields]
    figures = [tag("th", _text(head), scope="col", class_="number") for head in text.heads]
    rows.append(tag("tr", *fields, *figures))
    body = [tag("tbody", *map(_row, group)) for group in text.groups]
    inside = tag("table", tag("thead", *rows), *body, class_="figures")
    grid = tag(*("div", inside), class_="scroll", tabindex=0, role="region", aria_label=table.title)
    items = [Markup(_set(note).replace("</sup>", "</sup> ", 1)) for note in text.notes]
    notes = tag("ul", *(tag("li", item) for item in items), class_="notes") if items else None
    setting = tag("span", " ", _set(text.setting), class_="setting") if table.setting else None
    caption = tag("figcaption", _set(text.title), setting)
    return tag("figure", caption, grid, notes, class_="table", id=f"table-{table.name}")


def text_html(text: str) -> Markup:
    """A text with the symbols in it."""
    return _set(words(text))


def _check(text: str) -> Markup:
    return tag("span", "✓" if text == "yes" else "", class_="check", aria_label=text, role="img")


def _math(symbol: str) -> Markup:
    letter, index, exponent = parts_of(symbol)
    below = tag("sub", index) if index else None
    return join([tag("i", letter), below, tag("sup", exponent) if exponent else None])


_STYLES: Styles = {
    "text": safe,
    "bold": lambda text: tag("b", text),
    "italic": lambda text: tag("i", text),
    "small": lambda text: tag("small", f" {text}".replace("±", "±\u2009")),
    "superscript": lambda text: tag("sup", text),
    "subscript": lambda text: tag("sub", text),
    "math": _math,
    "check": _check,
}


def _set(fragments: Fragments, styles: Styles = _STYLES) -> Markup:
    return Markup(in_markup(fragments, styles))


def _text(place: Place, styles: Styles = _STYLES) -> Markup:
    return _set(place.fragments, styles)


def _row(line: Line) -> Markup:
    # the page sets the whole row of published figures in italics
    styles: Styles = {**_STYLES, "italic": safe} if line.published else _STYLES
    cells = []
    for number, label in enumerate(line.labels):
        prose = number > 0 and not line.entries  # the sentence of a table without figures
        span = label.span if label.span > 1 else None
        said = _text(label, styles)
        if prose:
            cells.append(tag("td", said, class_="prose"))
        else:
            cells.append(tag("th", said, scope="row", colspan=span, data_sort=label.sort))
    for place in line.entries:
        classes = "number words" if place.words else "number"
        cells.append(tag("td", _text(place, styles), class_=classes, data_sort=place.sort))
    kind = "published" if line.published else None
    return tag("tr", join(cells), class_=kind, data_cell=line.cell)
