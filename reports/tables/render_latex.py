r"""A table in LaTeX: a float for ``\input``, which needs the package booktabs and nothing else.

Where the document has graphicx, a table that is too wide is scaled to the line; where it has
amssymb, check marks are its ``\checkmark``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import groupby

from reports.tables.formatting import pieces
from reports.tables.model import Column, Entry, Label, Row, Table

PREAMBLE = r"""% needs \usepackage{booktabs}; uses graphicx and amssymb where they are loaded
\providecommand{\tevitcheck}{\ifdefined\checkmark\ensuremath{\checkmark}\else\ensuremath{\surd}\fi}
\providecommand{\tevitspread}[1]{{\scriptsize #1}}
\providecommand{\tevitfit}[1]{\sbox0{#1}\ifdim\wd0>\linewidth
  \ifdefined\resizebox\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi\else\usebox0\fi}
"""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\ensuremath{|}",
    '"': r"\textquotedbl{}",
    "−": r"\ensuremath{-}",
    "±": r"\ensuremath{\pm}",
    "×": r"\ensuremath{\times}",
    "Δ": r"\ensuremath{\Delta}",
    "σ": r"\ensuremath{\sigma}",
    "µ": r"\ensuremath{\mu}",
    "→": r"\ensuremath{\to}",
    "≥": r"\ensuremath{\ge}",
    "≤": r"\ensuremath{\le}",
    "·": r"\ensuremath{\cdot}",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "✓": r"\tevitcheck{}",
    "\u2009": r"\,",
    "\u00a0": "~",
}
_SPECIAL['"'] = "''"
_SUBSCRIPT = re.compile(r"\b(AP|AR)(50|75|100|10|1|s|m|l)\b")


def to_latex(table: Table) -> str:
    r"""A ``table`` or ``table*`` with caption, label ``tab:<name>`` and notes."""
    star = "*" if table.width == "text" else ""
    rules = "l" * len(table.fields) + "r" + "r" * len(table.columns)
    body = [rf"\begin{{tabular}}{{@{{}}{rules}@{{}}}}", r"\toprule", *_heads(table), r"\midrule"]
    for index, group in enumerate(table.groups):
        body += [r"\midrule"] if index else []
        body += [_row(row, table) for row in group]
    body += [r"\bottomrule", r"\end{tabular}"]
    lines = [
        rf"\begin{{table{star}}}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape(table.title)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\tevitfit{%",
        *body,
        r"}\par\smallskip",
        r"\begin{minipage}{\linewidth}\scriptsize\raggedright",
        *_notes(table),
        r"\end{minipage}",
        rf"\end{{table{star}}}",
    ]
    return PREAMBLE + "\n".join(lines) + "\n"


def preview(names: Iterable[str]) -> str:
    """A document that shows the tables of these file names, to be compiled beside them."""
    inputs = "\n".join(rf"\input{{{name}}}" for name in names)
    return (
        "\\documentclass{article}\n\\usepackage[margin=2cm]{geometry}\n"
        "\\usepackage{booktabs,graphicx,amssymb}\n"
        f"\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )


def escape(text: str) -> str:
    r"""``text`` as LaTeX prints it, whatever characters it has.

    Letters that the standard fonts lack are reduced to their base letter, or to their code point.
    """
    return "".join(_SPECIAL.get(char) or _known(char) for char in " ".join(text.split(" ")))


def _known(char: str) -> str:
    if char.isascii():
        return char if char.isprintable() else " "
    if "À" <= char <= "ÿ":
        return char
    base = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
    return "".join(_SPECIAL.get(c, c) for c in base) if base else f"U+{ord(char):04X}"


def _subscripts(text: str) -> str:
    """AP50 as papers set it."""
    return _SUBSCRIPT.sub(lambda m: rf"{m[1]}\ensuremath{{_{{\mathrm{{{m[2]}}}}}}}", text)


def _heads(table: Table) -> list[str]:
    lines = []
    if any(column.above for column in table.columns):
        lines += _spanning_heads(table)
    cells = [*map(escape, table.fields), "n", *map(_head, table.columns)]
    return [*lines, _line(cells)]


def _spanning_heads(table: Table) -> list[str]:
    """The values of the axis across, each over its columns, underlined."""
    first = len(table.fields) + 2
    cells, rules = [""] * (len(table.fields) + 1), []
    for above, columns in groupby(table.columns, key=lambda column: column.above):
        width = len(list(columns))
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(above or '')}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return [_line(cells), "".join(rules)]


def _head(column: Column) -> str:
    return _subscripts(escape(column.label)) + _sup(column.marks)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _row(row: Row, table: Table) -> str:
    labels = [_label(label) for label in row.labels]
    if row.published:
        labels = [rf"\textit{{{label}}}" if label else "" for label in labels]
        labels[0] += _sup(row.marks)
    seeds = "" if row.published else row.seeds + _sup(row.marks)
    missing = len(table.fields) - len(labels)
    if missing:
        labels = [rf"\multicolumn{{{missing + 1}}}{{@{{}}l}}{{{labels[0]}}}"]
    pairs = zip(row.entries, table.columns, strict=True)
    return _line([*labels, seeds, *(_entry(e, column, row) for e, column in pairs)])


def _label(label: Label) -> str:
    if label.check is None:
        return escape(label.text)
    return r"\tevitcheck" if label.check else ""


def _entry(entry: Entry, column: Column, row: Row) -> str:
    parts = pieces(entry, column, row)
    main = escape(parts.main)
    if entry.bold:
        main = rf"\textbf{{{main}}}"
    elif main and (row.published or (parts.words and parts.main != "–")):
        main = rf"\textit{{{main}}}"
    sign = r"\ensuremath{\pm}" if parts.kind == "std" else r"\,"
    spread = rf"\,\tevitspread{{{sign}{escape(parts.spread)}}}" if parts.spread else ""
    n = rf"\,\tevitspread{{({parts.n})}}" if parts.n else ""
    # a cell that starts with a bracket would be read as the option of the line break before it
    return main + spread + n + _sup(entry.marks)


def _sup(marks: Sequence[str]) -> str:
    return rf"\textsuperscript{{{','.join(marks)}}}" if marks else ""


def _notes(table: Table) -> list[str]:
    return [f"{_sup((note.mark,) if note.mark else ())}{escape(note.text)}" for note in table.notes]
