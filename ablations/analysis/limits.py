"""How many seeds there may be, and when they suffice: the key ``seeds`` of a grid as a mapping."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from core.config.strict import Strict

MOST_SEEDS = 1000
"""Far beyond what anybody trains, and few enough to count out."""


class Limits(Strict):
    """Seeds that are added round by round, to the cells that are undecided."""

    first: Annotated[int, Field(ge=2, strict=True)]
    """seeds of every cell before the first look; a spread takes at least 2"""

    most: Annotated[int, Field(le=MOST_SEEDS, strict=True)]
    """seeds beyond which none is added"""

    until: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """size of a difference that is to be settled, in AP"""

    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """probability that no cell is falsely told from the baseline, over all looks"""

    @model_validator(mode="after")
    def _room_to_grow(self) -> Limits:
        if self.most < self.first:
            raise ValueError(f"most is {self.most}, below first, which is {self.first}")
        return self

    @property
    def looks(self) -> tuple[int, ...]:
        """The number of seeds at each look: one more from look to look."""
        return tuple(range(self.first, self.most + 1))
