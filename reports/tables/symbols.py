"""Symbols in labels: ``$N_q$`` is a letter with an index, in every format and plot.

Only a letter or the name of a Greek one, with an index, an exponent or both, is a symbol; any
other dollar is a dollar.
"""

from __future__ import annotations

import re

_SCRIPT = r"(?:\w|\{[\w ,+-]+\})"
_SYMBOL = re.compile(rf"\$((?:[A-Za-z]|\\[a-zA-Z]{{2,8}})(?:_{_SCRIPT})?(?:\^{_SCRIPT})?)\$")
_PARTS = re.compile(r"(\\?[A-Za-z]+)(?:_\{?([^}^]+)\}?)?(?:\^\{?([^}]+)\}?)?")
_GREEK = dict(
    zip(
        ("alpha", "beta", "gamma", "delta", "theta", "lambda", "mu", "pi", "rho", "sigma", "tau"),
        "αβγδθλμπρστ",
        strict=True,
    )
)


def split_math(text: str) -> list[tuple[str, bool]]:
    r"""The text in pieces, each with whether it is a symbol (then without its dollars).

    Example:
        >>> split_math("queries $N_q$"), split_math("5$ or $6")
        ([('queries ', False), ('N_q', True)], [('5$ or $6', False)])
    """
    pieces = _SYMBOL.split(text)
    known = [(piece, k % 2 == 1) for k, piece in enumerate(pieces)]
    return [
        (piece, True) if math and _known(piece) else (f"${piece}$" if math else piece, False)
        for piece, math in known
        if piece
    ]


def parts_of(symbol: str) -> tuple[str, str, str]:
    r"""Letter, index and exponent of a symbol, such as ``("N", "q", "")``."""
    match = _PARTS.fullmatch(symbol)
    assert match is not None, symbol
    letter, index, exponent = match.groups(default="")
    return _GREEK.get(letter.lstrip("\\"), letter), index, exponent


def _known(symbol: str) -> bool:
    match = _PARTS.fullmatch(symbol)
    return match is not None and (match[1][0] != "\\" or match[1][1:] in _GREEK)


def plain(text: str) -> str:
    """The text with its symbols in letters alone: ``N_q``."""
    return "".join("_".join(filter(None, parts_of(t)[:2])) if m else t for t, m in split_math(text))


def mathtext(text: str) -> str | None:
    """The text for matplotlib, other dollars made plain; none where there is no symbol."""
    pieces = split_math(text)
    if not any(math for _, math in pieces):
        return None
    return "".join(f"${t}$" if math else t.replace("$", r"\$") for t, math in pieces)
