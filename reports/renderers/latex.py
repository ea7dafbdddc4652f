r"""A table in LaTeX: a float for ``\input``, which needs the package booktabs and nothing else.

A figure and its spread are two columns, so that points, ± and brackets stand below each other;
with siunitx the figures are its ``S`` columns.  Where the document has graphicx, a table that is
too wide is scaled to the line; where it has amssymb, check marks are its ``\checkmark``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ablations.table_spec import TableError
from reports.renderers.latex_letters import escape_latex
from reports.renderers.typeset import (
    MINUS,
    Fragment,
    Line,
    Place,
    Styles,
    TypesetTable,
    in_markup,
    typeset,
    words,
)
from reports.tables.model import DASH, Table

PREAMBLE = r"""% needs \usepackage{booktabs}; uses graphicx and amssymb where they are loaded
\providecommand{\tevitcheck}{\ifdefined\checkmark\ensuremath{\checkmark}\else\ensuremath{\surd}\fi}
\providecommand{\tevitspread}[1]{{\scriptsize #1}}
\providecommand{\tevitfit}[1]{\sbox0{#1}\ifdim\wd0>\linewidth
  \ifdefined\resizebox\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi\else\usebox0\fi}
"""
SIUNITX = r"""% needs \usepackage{siunitx} (version 3)
"""
_SETUP = "group-digits=integer,group-minimum-digits=5,retain-explicit-plus,mode=text"
_SETUP += ",reset-text-series=false,reset-text-shape=false"
_LETTERS = 52
"""Of \footnotesize that fit into a column of CVPR, which is 3.25 inches wide."""
_ROWS = 44
"""That fit onto a page; more are set as several floats."""
_NUMBER = re.compile(rf"[+{MINUS}]?[\d\u2009]+(\.\d+)?")


@dataclass(frozen=True)
class _Column:
    """How a column of figures is set.

    Attributes:
        kind: its type in the tabular's preamble.
        width: 2 where the spread of its figures is a column of its own.
        braced: whether what is no number has to be in braces.
        spreads: letters of each number in a spread, by its place there.
    """

    kind: str
    width: int
    braced: bool
    spreads: tuple[int, ...]


def to_latex(table: Table, siunitx: bool = False, place: str = "t") -> str:
    r"""A ``table`` or ``table*`` with caption, label ``tab:<name>`` and notes; of a long table
    several, that are numbered as one.

    Args:
        siunitx: whether figures stand in ``S`` columns.
        place: of the float; ``H``: where it is called, in a single column, by the package float.

    Raises:
        TableError: a character that LaTeX's standard fonts do not have.
    """
    try:
        text = typeset(table)
        needs = SIUNITX if siunitx else ""
        floats = [
            line
            for number, groups in enumerate(_pages(text.groups))
            for line in _float(table, text, groups, siunitx, number, place)
        ]
        return needs + PREAMBLE + "\n".join(floats) + "\n"
    except TableError as error:
        raise TableError(f"table {table.name}: {error}") from None


def preview(names: Iterable[str]) -> str:
    """A document that shows the tables of these file names, to be compiled beside them."""
    names = list(names)
    inputs = "\n".join(rf"\input{{{name}}}" for name in names)
    siunitx = "\\usepackage{siunitx}\n" if any("_siunitx" in name for name in names) else ""
    return (
        "\\documentclass{article}\n\\usepackage[margin=2cm]{geometry}\n"
        f"\\usepackage{{booktabs,graphicx,amssymb}}\n{siunitx}"
        f"\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )


def _small(text: str) -> str:
    apart = r"\;" if text.lstrip("\u2007")[0] in "[(" else r"\,"
    return rf"{apart}\tevitspread{{{escape_latex(text)}}}"


_STYLES: Styles = {
    "text": escape_latex,
    "bold": lambda text: rf"\textbf{{{escape_latex(text)}}}",
    "italic": lambda text: "--" if text == DASH else rf"\textit{{{escape_latex(text)}}}",
    "small": _small,
    "superscript": lambda text: rf"\textsuperscript{{{text}}}",
    "subscript": lambda text: rf"\ensuremath{{_{{\mathrm{{{text}}}}}}}",
    "math": lambda text: rf"\ensuremath{{{text}}}",
    "check": lambda text: r"\tevitcheck" if text == "yes" else "",
}


def _pages(groups: Sequence[Sequence[Line]]) -> list[list[list[Line]]]:
    """Groups of lines, as many as a page has room for."""
    pages: list[list[list[Line]]] = [[]]
    for group in groups:
        rest = list(group)
        while rest:
            room = _ROWS - sum(map(len, pages[-1]))
            if room < min(len(rest), 3):  # a heading and a line or two are no page
                pages.append([])
                room = _ROWS
            pages[-1].append(rest[:room])
            rest = rest[room:]
    return pages


def _float(
    table: Table,
    text: TypesetTable,
    groups: list[list[Line]],
    siunitx: bool,
    number: int,
    place: str,
) -> list[str]:
    columns = [_column(text, place, siunitx) for place in range(len(text.heads))]
    labels = "l" * (len(text.fields) - table.prose)
    prose = r"p{0.76\linewidth}" if table.prose else ""
    kinds = "".join(column.kind for column in columns)
    body = [rf"\begin{{tabular}}{{@{{}}{labels}{prose}{kinds}@{{}}}}", r"\toprule"]
    body += [*_across(text, columns), _heads(text, columns), r"\midrule"]
    for index, group in enumerate(groups):
        body += [r"\midrule"] if index else []
        body += [_row(line, columns) for line in group]
    wide = (table.width or _width(text, table.prose)) == "text"
    star = "*" if wide and place != "H" else ""
    title, setting = (in_markup(part, _STYLES) for part in (text.title, text.setting))
    caption = f"{title} {setting}".strip() if not number else f"{title[:-1]} (continued)."
    return [
        rf"\begin{{table{star}}}[{place}]",
        *([] if not number else [r"\addtocounter{table}{-1}"]),
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}\setlength{\belowcaptionskip}{4pt}",
        *([rf"\sisetup{{{_SETUP}}}"] if siunitx else []),
        rf"\caption{{{caption}}}",
        *([] if number else [rf"\label{{tab:{table.name}}}"]),
        *([] if table.prose else [r"\tevitfit{%"]),
        *body,
        *(
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\smallskip" if table.prose else r"}\par\smallskip",
        ),
        *(_notes(text) if text.notes else []),
        rf"\end{{table{star}}}",
    ]


def _notes(text: TypesetTable) -> list[str]:
    return [
        r"\begin{minipage}{\linewidth}\scriptsize\raggedright",
        *(in_markup(note, _STYLES) for note in text.notes),
        r"\end{minipage}",
    ]


def text_latex(text: str) -> str:
    """A text with the symbols in it.

    Raises:
        TableError: a character that LaTeX's standard fonts do not have.
    """
    return in_markup(words(text), _STYLES)


def _width(text: TypesetTable, prose: bool) -> str:
    """``column`` where the widest letters of each column fit into one, else ``text``."""
    lines = [[*text.fields, *text.heads], *(line.places for group in text.groups for line in group)]
    # a spread is set small; a label over several columns is not measured
    sizes = [
        [sum(len(f.text) * (0.8 if f.style == "small" else 1) for f in p.fragments) for p in line]
        for line in lines
        if len(line) == len(lines[0]) and not any(place.span > 1 for place in line)
    ]
    widest = [max(sizes) for sizes in zip(*sizes, strict=True)]
    return "text" if prose or sum(widest) + 1.9 * (len(widest) - 1) > _LETTERS else "column"


def _column(text: TypesetTable, place: int, siunitx: bool) -> _Column:
    entries = [line.entries[place] for group in text.groups for line in group]
    split = [_split(entry) for entry in entries]
    numbers = [m[0] for figure, _ in split for f in figure if (m := _NUMBER.fullmatch(f.text))]
    if not numbers:
        words = all(entry.words for entry in entries if entry.fragments)
        return _Column("l" if words and any(e.fragments for e in entries) else "r", 1, False, ())
    spreads = [_numbers(spread[0].text) for _, spread in split if spread]
    kind = "r"
    if siunitx:
        whole, point = zip(*map(_digits, numbers), strict=True)
        sign = "+" if any(number[0] in f"+{MINUS}" for number in numbers) else ""
        kind = f"S[table-format={sign}{max(whole)}.{max(point)}]"
    if not spreads:
        return _Column(kind, 1, siunitx, ())
    most = max(map(len, spreads))
    sizes = [max((len(s[k]) for s in spreads if k < len(s)), default=0) for k in range(most)]
    return _Column(kind + "@{}l", 2, siunitx, tuple(sizes))


def _split(place: Place) -> tuple[list[Fragment], list[Fragment]]:
    """The figure, and its spread with the marks after it."""
    at = next((k for k, f in enumerate(place.fragments) if f.style == "small"), None)
    fragments = list(place.fragments)
    return (fragments, []) if at is None else (fragments[:at], fragments[at:])


def _numbers(text: str) -> list[str]:
    return [match[0] for match in _NUMBER.finditer(text)]


def _digits(number: str) -> tuple[int, int]:
    whole, _, point = number.lstrip(f"+{MINUS}").replace("\u2009", "").partition(".")
    return len(whole), len(point)


def _heads(text: TypesetTable, columns: Sequence[_Column]) -> str:
    cells = [_place(field) for field in text.fields]
    for place, column in zip(text.heads, columns, strict=True):
        head = _place(place)
        if column.width == 2:
            head = rf"\multicolumn{{2}}{{c}}{{{head}}}"
        cells.append(f"{{{head}}}" if column.braced and column.width == 1 else head)
    return _line(cells)


def _across(text: TypesetTable, columns: Sequence[_Column]) -> list[str]:
    """The values of the axis across, each over its columns, underlined."""
    if not text.across:
        return []
    others = len(text.heads) - sum(count for _, count in text.across)
    at = len(text.fields) + others
    cells, rules = [""] * at, []
    rest = list(columns[others:])
    first = at + 1
    for above, count in text.across:
        width = sum(column.width for column in rest[:count])
        rest = rest[count:]
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(above)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return [_line(cells), "".join(rules)]


def _line(cells: Sequence[str]) -> str:
    # after a line break or a rule, a bracket or a star would be read as its option
    first = f"{{}}{cells[0]}" if cells[0].startswith(("[", "*")) else cells[0]
    return " & ".join([first, *cells[1:]]) + r" \\"


def _row(line: Line, columns: Sequence[_Column]) -> str:
    labels = [_place(label) for label in line.labels]
    if line.labels[0].span > 1:
        labels = [rf"\multicolumn{{{line.labels[0].span}}}{{@{{}}l}}{{{labels[0]}}}"]
    pairs = zip(line.entries, columns, strict=True)
    return _line([*labels, *(_entry(place, column) for place, column in pairs)])


def _entry(place: Place, column: _Column) -> str:
    figure, spread = _split(place)
    if not place.fragments:
        return " & " if column.width == 2 else ""
    plain = bool(figure) and bool(_NUMBER.fullmatch(figure[0].text))
    said = in_markup(figure, _STYLES)
    said = _signed(said) if plain else said
    if column.width == 2 and not plain:
        return rf"\multicolumn{{2}}{{c}}{{{said}{in_markup(spread, _STYLES)}}}"
    if column.braced:
        said = _siunitx(figure) if plain else f"{{{said}}}"
    return said if column.width == 1 else f"{said} & {_spread(spread, column.spreads)}"


def _siunitx(fragments: Sequence[Fragment]) -> str:
    number, *marks = fragments
    style = {"bold": r"\bfseries ", "italic": r"\itshape "}.get(number.style, "")
    text = number.text.replace(MINUS, "-").replace("\u2009", "")
    return style + text + "".join(f"{{{_STYLES[mark.style](mark.text)}}}" for mark in marks)


def _spread(fragments: Sequence[Fragment], sizes: Sequence[int]) -> str:
    """The spread with its numbers as wide as the widest of the column."""
    if not fragments:
        return ""
    places = iter(sizes)

    def padded(match: re.Match[str]) -> str:
        return "\u2007" * (next(places) - len(match[0])) + match[0]

    text = _NUMBER.sub(padded, fragments[0].text)
    # room is left before a bracket, not inside it
    first = Fragment(re.sub("^\\[(\u2007+)", r"\1[", text), "small")
    return _signed(in_markup([first, *fragments[1:]], _STYLES))


def _signed(markup: str) -> str:
    """With a plus of the font of the minus, which in Times is wider: points stay in line."""
    return re.sub(r"\+(?=\d)", r"\\ensuremath{+}", markup)


def _place(place: Place) -> str:
    return in_markup(place.fragments, _STYLES)
