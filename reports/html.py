"""HTML as strings, safely: text is escaped unless it is markup already."""

from __future__ import annotations

import html


class Markup(str):
    """A piece of HTML that is not to be escaped again."""

    __slots__ = ()


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element; children that are not :class:`Markup` are escaped.

    Attribute names take ``_`` for ``-`` and a trailing ``_`` for Python's keywords; an attribute
    that is None or False is left out, one that is True has no value.

    Example:
        >>> tag("td", "a < b", class_="x")
        '<td class="x">a &lt; b</td>'
    """
    text = "".join(_attribute(key, value) for key, value in attributes.items())
    inner = "".join(safe(child) for child in children)
    return Markup(f"<{name}{text}>{inner}</{name}>")


def safe(value: object) -> Markup:
    """``value`` as HTML text; nothing for None."""
    if value is None:
        return Markup("")
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def join(parts: object, between: str = "") -> Markup:
    """Several pieces as one."""
    return Markup(between.join(safe(part) for part in parts))  # type: ignore[attr-defined]


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
