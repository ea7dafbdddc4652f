"""Names in messages and tables: that tell apart what they name, and not too many of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")
MOST_LISTED = 50


def listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    found = list(names)
    more = f", ... and {len(found) - MOST_LISTED} more" if len(found) > MOST_LISTED else ""
    return (", ".join(found[:MOST_LISTED]) or "none") + more


def distinct(
    names: Mapping[T, str], extra: Callable[[T], str], form: str = "{} ({})"
) -> dict[T, str]:
    """The names, those that are alike extended by what tells them apart.

    Args:
        form: of a name and its extension.

    Example:
        >>> distinct({"on": "MsgShifT", "shift": "MsgShifT", "off": "off"}, str)
        {'on': 'MsgShifT (on)', 'shift': 'MsgShifT (shift)', 'off': 'off'}
    """
    said = dict(names)
    for _ in range(2):  # the second time if an extended name is another's own
        count = Counter(said.values())
        said = {
            k: form.format(name, extra(k)) if count[name] > 1 else name for k, name in said.items()
        }
    return said
