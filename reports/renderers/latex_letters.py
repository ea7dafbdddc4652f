"""Text as LaTeX prints it, or an error that names the letter that its fonts lack."""

from __future__ import annotations

import unicodedata

from ablations.table_spec import TableError

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
    "\u2007": r"\phantom{0}",
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
