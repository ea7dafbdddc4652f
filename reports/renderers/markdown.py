"""A table in Markdown, as GitHub and notebooks show it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.renderers.typeset import Place, Styles, in_markup, typeset
from reports.tables.model import DASH, Table
from reports.tables.symbols import parts_of

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$])")


def to_markdown(table: Table) -> str:
    """The title, the table and the notes below it."""
    text = typeset(table)
    heads = [_place(head) for head in (*text.fields, *text.heads)]
    align = [*[":--" for _ in text.fields], *["--:" for _ in text.heads]]
    lines = [_line(heads), _line(align)]
    for index, group in enumerate(text.groups):
        lines += [_line(["" for _ in heads])] if index else []
        lines += [_line([_place(place) for place in line.places]) for line in group]
    notes = [f"- {in_markup(note, _STYLES).replace('</sup>', '</sup> ', 1)}" for note in text.notes]
    bold, title, setting = (
        in_markup(part, _STYLES) for part in (text.result, text.title, text.setting)
    )
    above = [f"**{bold}**", "", title] if bold else [f"**{title}**"]
    above[-1] = f"{above[-1]} {setting}".strip()
    return "\n".join([*above, "", *lines, *(["", *notes] if notes else [])]) + "\n"


def escape_markdown(text: str) -> str:
    """``text`` with the characters that Markdown would read as markup made plain."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


_STYLES: Styles = {
    "text": escape_markdown,
    "bold": lambda text: f"**{escape_markdown(text)}**",
    "italic": lambda text: text if text == DASH else f"*{escape_markdown(text)}*",
    "small": lambda text: f" {escape_markdown(text)}".replace("±", "± "),
    "superscript": lambda text: "".join(f"<sup>{mark}</sup>" for mark in text.split(",")),
    "subscript": escape_markdown,
    "math": lambda text: _math(*parts_of(text)),
    "check": lambda text: "✓" if text == "yes" else "",
}


def _math(letter: str, index: str, exponent: str) -> str:
    index = f"<sub>{escape_markdown(index)}</sub>" if index else ""
    return f"*{letter}*{index}" + (f"<sup>{escape_markdown(exponent)}</sup>" if exponent else "")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _place(place: Place) -> str:
    above = f"{escape_markdown(place.above)}: " if place.above else ""
    return above + in_markup(place.fragments, _STYLES)
