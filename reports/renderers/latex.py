r"""A table in LaTeX: a float for ``\input``, which needs the package booktabs and nothing else.

Where the document has graphicx, a table that is too wide is scaled to the line; where it has
amssymb, check marks are its ``\checkmark``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from ablations.table_spec import TableError
from reports.renderers.typeset import Line, Place, Styles, TypesetTable, in_markup, typeset
from reports.tables.model import DASH, Table

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
    '"': "''",
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
    "\u00ad": r"\-",
    "§": r"\S{}",
    "¶": r"\P{}",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "©": r"\copyright{}",
    "£": r"\pounds{}",
    "Ł": r"\L{}",
    "ł": r"\l{}",
    "Œ": r"\OE{}",
    "œ": r"\oe{}",
    "ı": r"\i{}",
    "°": r"\textsuperscript{\ensuremath{\circ}}",
    "′": r"\textsuperscript{\ensuremath{\prime}}",
    "″": r"\textsuperscript{\ensuremath{\prime\prime}}",
}
_MATH = {
    **{char: char for char in "<>|"},
    **{"−": "-", "±": r"\pm", "×": r"\times", "÷": r"\div", "·": r"\cdot", "∙": r"\cdot"},
    **{"≠": r"\neq", "≈": r"\approx", "≡": r"\equiv", "∼": r"\sim", "∝": r"\propto"},
    **{"≥": r"\ge", "≤": r"\le", "≫": r"\gg", "≪": r"\ll", "∞": r"\infty", "√": r"\surd"},
    **{"→": r"\to", "←": r"\leftarrow", "↔": r"\leftrightarrow", "↑": r"\uparrow"},
    **{"↓": r"\downarrow", "⇒": r"\Rightarrow", "⊕": r"\oplus", "⊗": r"\otimes", "∘": r"\circ"},
    **{"∈": r"\in", "∩": r"\cap", "∪": r"\cup", "∅": r"\emptyset", "∀": r"\forall"},
    **{"∑": r"\sum", "∏": r"\prod", "∂": r"\partial", "∇": r"\nabla", "∥": r"\|", "¬": r"\neg"},
    **{"µ": r"\mu", "ϵ": r"\epsilon", "ε": r"\varepsilon", "φ": r"\varphi", "ϕ": r"\phi"},
}
_ACCENTS = dict(zip("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308", "`'^~=u.\"", strict=True))
_ACCENTS |= {"\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c", "\u0323": "d"}
_SCRIPTS = {"<super>": r"\textsuperscript", "<sub>": r"\textsubscript"}
_COMPATIBLE = ("<compat>", "<wide>", "<narrow>", "<square>", "<noBreak>")
_LATIN_LIKE = {"omicron": "o", "Alpha": "A", "Beta": "B", "Epsilon": "E", "Zeta": "Z", "Eta": "H"}
_LATIN_LIKE |= {"Iota": "I", "Kappa": "K", "Mu": "M", "Nu": "N", "Omicron": "O", "Rho": "P"}
_LATIN_LIKE |= {"Tau": "T", "Upsilon": r"\Upsilon", "Chi": "X"}


def to_latex(table: Table) -> str:
    r"""A ``table`` or ``table*`` with caption, label ``tab:<name>`` and notes.

    Raises:
        TableError: a character that LaTeX's standard fonts do not have.
    """
    try:
        return PREAMBLE + "\n".join(_float(table)) + "\n"
    except TableError as error:
        raise TableError(f"table {table.name}: {error}") from None


def preview(names: Iterable[str]) -> str:
    """A document that shows the tables of these file names, to be compiled beside them."""
    inputs = "\n".join(rf"\input{{{name}}}" for name in names)
    return (
        "\\documentclass{article}\n\\usepackage[margin=2cm]{geometry}\n"
        "\\usepackage{booktabs,graphicx,amssymb}\n"
        f"\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )


def escape_latex(text: str) -> str:
    r"""``text`` as LaTeX prints it.

    Raises:
        TableError: a character that LaTeX's standard fonts do not have, named.
    """
    return "".join(map(_letter, text))


def _letter(char: str) -> str:
    if char in _SPECIAL:
        return _SPECIAL[char]
    if char in _MATH:
        return rf"\ensuremath{{{_MATH[char]}}}"
    if char.isascii():
        return char if char.isprintable() else " "
    if "À" <= char <= "ÿ":
        return char
    found = _greek(char) or _composed(char)
    if found is None:
        name = unicodedata.name(char, "no character")
        raise TableError(
            f"LaTeX's fonts have no {char!r} (U+{ord(char):04X}, {name.lower()}); write the label "
            "in other letters, or use another format"
        )
    return found


def _greek(char: str) -> str | None:
    """``α`` by its name; the capitals that look like Latin ones are those."""
    words = unicodedata.name(char, "").split()
    if len(words) != 4 or words[0] != "GREEK" or words[2] != "LETTER":
        return None
    name = words[3].replace("LAMDA", "LAMBDA").lower()
    name = name.capitalize() if words[1] == "CAPITAL" else name
    latin = _LATIN_LIKE.get(name)
    return rf"\ensuremath{{\mathrm{{{latin}}}}}" if latin else rf"\ensuremath{{\{name}}}"


def _composed(char: str) -> str | None:
    """A letter with an accent, a raised or lowered digit, a fraction."""
    kind, *codes = unicodedata.decomposition(char).split() or [""]
    if not kind:
        return None
    if not kind.startswith("<"):
        letter, accent = chr(int(kind, 16)), "".join(chr(int(code, 16)) for code in codes)
        if letter.isascii() and accent in _ACCENTS:
            return rf"\{_ACCENTS[accent]}{{{letter}}}"
        return None
    plain = "".join(chr(int(code, 16)) for code in codes)
    if kind in _SCRIPTS:
        return f"{_SCRIPTS[kind]}{{{escape_latex(plain)}}}"
    if kind == "<fraction>" and plain.count("\u2044") == 1:
        over, under = plain.split("\u2044")
        return rf"\ensuremath{{\frac{{{over}}}{{{under}}}}}"
    # ligatures and full-width letters
    return escape_latex(plain) if kind in _COMPATIBLE and plain.isascii() else None


def _small(text: str) -> str:
    apart = r"\," if text.startswith("[") else ""
    return rf"\,\tevitspread{{{apart}{escape_latex(text)}}}"


_STYLES: Styles = {
    "text": escape_latex,
    "bold": lambda text: rf"\textbf{{{escape_latex(text)}}}",
    "italic": lambda text: "--" if text == DASH else rf"\textit{{{escape_latex(text)}}}",
    "small": _small,
    "superscript": lambda text: rf"\textsuperscript{{{text}}}",
    "subscript": lambda text: rf"\ensuremath{{_{{\mathrm{{{text}}}}}}}",
    "check": lambda text: r"\tevitcheck" if text == "yes" else "",
}


def _float(table: Table) -> list[str]:
    text = typeset(table)
    star = "*" if table.width == "text" else ""
    rules = "l" * len(text.fields) + "r" * len(text.heads)
    body = [rf"\begin{{tabular}}{{@{{}}{rules}@{{}}}}", r"\toprule", *_across(text)]
    body += [_line(list(map(_place, (*text.fields, *text.heads)))), r"\midrule"]
    for index, group in enumerate(text.groups):
        body += [r"\midrule"] if index else []
        body += [_row(line) for line in group]
    return [
        rf"\begin{{table{star}}}[t]",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape_latex(table.title)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\tevitfit{%",
        *body,
        *(r"\bottomrule", r"\end{tabular}", r"}\par\smallskip"),
        r"\begin{minipage}{\linewidth}\scriptsize\raggedright",
        *(in_markup(note, _STYLES) for note in text.notes),
        r"\end{minipage}",
        rf"\end{{table{star}}}",
    ]


def _across(text: TypesetTable) -> list[str]:
    """The values of the axis across, each over its columns, underlined."""
    if not text.across:
        return []
    first = len(text.fields) + 2
    cells, rules = [""] * (len(text.fields) + 1), []
    for above, width in text.across:
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(above)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return [_line(cells), "".join(rules)]


def _line(cells: Sequence[str]) -> str:
    # after a line break or a rule, a bracket or a star would be read as its option
    first = f"{{}}{cells[0]}" if cells[0].startswith(("[", "*")) else cells[0]
    return " & ".join([first, *cells[1:]]) + r" \\"


def _row(line: Line) -> str:
    labels = [_place(label) for label in line.labels]
    if line.labels[0].span > 1:
        labels = [rf"\multicolumn{{{line.labels[0].span}}}{{@{{}}l}}{{{labels[0]}}}"]
    return _line([*labels, *map(_place, (line.seeds, *line.entries))])


def _place(place: Place) -> str:
    return in_markup(place.fragments, _STYLES)
