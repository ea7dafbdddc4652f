"""What is wrong with a grid: all of it at once, by file and field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.errors import UserError

_SHOWN = 30


@dataclass(frozen=True)
class Fault:
    """One thing to mend.

    Attributes:
        field: where in the grid, such as ``axes.head.kind[1]``.
        message: what is wrong, and what would be valid.
    """

    field: str
    message: str

    def __str__(self) -> str:
        """``field: message``, the lines of a longer message indented."""
        return f"{self.field}: {self.message}".replace("\n", "\n    ")


class GridError(UserError, ValueError):
    """A grid that cannot be used; ``faults`` holds every fault that was found."""

    def __init__(self, source: str, faults: Iterable[Fault]) -> None:
        self.source = source
        self.faults = tuple(dict.fromkeys(faults))
        shown = [f"  {fault}" for fault in self.faults[:_SHOWN]]
        if more := len(self.faults) - len(shown):
            shown.append(f"  ... and {more} more")
        count = f"{len(self.faults)} fault" + "s" * (len(self.faults) != 1)
        super().__init__("\n".join([f"grid {source}: {count}", *shown]))
