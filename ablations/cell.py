"""One cell of a grid: a resolved config and the name of the run that computes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from ablations.signature import signature
from benchmarks.measurements import NAMES
from core.config.schema import Config

if TYPE_CHECKING:
    MeasurementName = str
else:
    MeasurementName = Literal[NAMES]


@dataclass(frozen=True)
class Cell:
    """A point of the grid and a seed.

    Attributes:
        name: unique in its grid, made of the labels and the seed; safe in a shell and a path.
        config: every field resolved and validated, the seed included.
        axes: axis to the label of this cell's value, in the grid's order.
        measure: names of :mod:`benchmarks.measurements`; and "train" of a run that others
            start from, whose weights are wanted whatever is measured.
        start: the run whose last weights this one begins with; none: it begins as its config says.
        trains: False: it only tests the weights of ``start``, which has the same training.
    """

    name: str
    config: Config
    axes: Mapping[str, str]
    measure: tuple[MeasurementName | Literal["train"], ...]
    start: Cell | None = None
    trains: bool = True

    @property
    def seed(self) -> int:
        """The seed, which is part of the config."""
        return self.config.seed

    @property
    def starts(self) -> tuple[Cell, ...]:
        """The run that it starts from, the one that that one starts from, and so on."""
        return () if self.start is None else (self.start, *self.start.starts)

    @cached_property
    def signature(self) -> str:
        """16 hex digits; cells of any grid that share it share one run.

        The start run's is part of it. A cell that only tests another's weights has the signature
        of one that trains them itself: the result is the same.
        """
        start = self.start
        if start is not None and not self.trains:
            start = start.start
        return signature(self.config, start.signature if start is not None else None)
