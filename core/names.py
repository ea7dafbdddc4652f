"""Names that tell apart what they name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


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
