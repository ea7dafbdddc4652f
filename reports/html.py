"""HTML as strings, safely: text is escaped unless it is markup already."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

_PAGE = Path(__file__).parent / "page"


class Markup(str):
    """A piece of HTML that is not to be escaped again."""

    __slots__ = ()


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element; children that are not :class:`Markup` are escaped, None is nothing.

    Attribute names take ``_`` for ``-`` and a trailing ``_`` for Python's keywords; an attribute
    that is None or False is left out, one that is True has no value.

    Example:
        >>> tag("td", "a < b", class_="x")
        '<td class="x">a &lt; b</td>'
    """
    text = "".join(_attribute(key, value) for key, value in attributes.items())
    return Markup(f"<{name}{text}>{join(children)}</{name}>")


def safe(value: object) -> Markup:
    """``value`` as HTML text; nothing for None."""
    if value is None:
        return Markup("")
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def join(parts: Iterable[object]) -> Markup:
    """Several parts as one."""
    return Markup("".join(map(safe, parts)))


def scrolled(head: Iterable[Markup], rows: Iterable[Markup], label: str | None = None) -> Markup:
    """A table of figures that scrolls where it is too wide, by the keyboard, too, if it has a
    ``label``."""
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_="figures")
    about = {"tabindex": 0, "role": "region", "aria_label": label} if label else {}
    return tag("div", table, class_="scroll", **about)


def choice(every: str, values: Mapping[str, str], **attributes: object) -> Markup:
    """A choice of ``every`` or one of the values, with what each is called."""
    options = [tag("option", text, value=value) for value, text in values.items()]
    return tag("select", tag("option", every, value=""), *options, **attributes)


def field_list(values: Mapping[str, object], kind: str = "fields") -> Markup:
    """Names and values beside each other, of the class ``kind``."""
    items = [tag("div", tag("dt", name), tag("dd", value)) for name, value in values.items()]
    return tag("dl", *items, class_=kind)


def made_now(text: str) -> Markup:
    """A footer that says when the page was made, and goes on with ``text``."""
    return tag("footer", tag("p", f"Made {datetime.now(UTC):%Y-%m-%d %H:%M UTC}{text}"))


def document(title: str, body: Markup, more: Path | None = None) -> str:
    """A whole HTML document with the page's styles and script inside; and those of the files
    ``more``.css and ``more``.js."""
    stems = [_PAGE / "page", *([more] if more else [])]
    style, script = (
        "\n".join(stem.with_suffix(ending).read_text("utf-8") for stem in stems)
        for ending in (".css", ".js")
    )
    head = [
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        tag("title", title),
        tag("style", Markup(style)),
    ]
    page = tag(
        "html", tag("head", *head), tag("body", body, tag("script", Markup(script))), lang="en"
    )
    return f"<!doctype html>\n{page}\n"


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
