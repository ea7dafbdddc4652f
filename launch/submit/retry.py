"""Which failed or interrupted cells are submitted again: rules by cause, and a limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from core.config.overrides import unknown
from core.errors import UserError
from launch.records.failures import CAUSES
from launch.records.run_folder import DONE_BUT_FOR, FATAL, RunFolder, RunState

DEFAULT_CAUSES = frozenset(CAUSES) - frozenset(FATAL)
"""Causes that say nothing against trying again."""

DEFAULT_LIMIT = 3


@dataclass(frozen=True)
class RetryRules:
    """What to try again.

    Attributes:
        causes: tried again until ``limit`` attempts in a row have got no further.
        insisted: tried again whatever happened before, since the user asked for it by name.
        limit: attempts without progress; an attempt that reached a new checkpoint does not count.
        measurements: try again what cost a run no more than its own figures.
    """

    causes: frozenset[str] = DEFAULT_CAUSES
    insisted: frozenset[str] = frozenset()
    limit: int = DEFAULT_LIMIT
    measurements: bool = True

    def refusal(self, run: RunFolder, state: RunState) -> str | None:
        """Why a failed or interrupted cell is not tried again, or None."""
        cause = state.cause
        if cause is None or cause in self.insisted:
            return None
        if cause.startswith(DONE_BUT_FOR):
            return None if self.measurements else f"{cause} (the next launch tries again)"
        if cause not in self.causes:
            return f"not tried again after: {cause} (--retry {option(cause)})"
        futile = futile_attempts(run)
        if futile >= self.limit:
            return f"{futile} attempts got no further (--retry {option(cause)})"
        return None


def parse_rules(names: Iterable[str], limit: int = DEFAULT_LIMIT) -> RetryRules:
    """The default rules with the causes that ``names`` add; "none" or "all" stand for themselves.

    Raises:
        UserError: an unknown cause; lists the valid ones.
    """
    if limit < 1:
        raise UserError(f"the limit of attempts is {limit}, but must be at least 1")
    wanted = list(names)
    valid = [*map(option, CAUSES), "all", "none"]
    for name in wanted:
        if option(name) not in valid:
            raise UserError(unknown("cause", name, valid))
    if "none" in wanted:
        if len(wanted) > 1:
            raise UserError("--retry none excludes other causes")
        return RetryRules(frozenset(), limit=limit)
    insisted = frozenset(c for c in CAUSES if "all" in wanted or option(c) in map(option, wanted))
    return RetryRules(insisted=insisted, limit=limit)


def option(cause: str) -> str:
    """A cause as it is typed: ``out-of-memory``."""
    return cause.replace(" ", "-").replace("_", "-")


def futile_attempts(run: RunFolder) -> int:
    """How many of the latest attempts began where the one before them had begun."""
    marks = [claim.holder.get("progress") for claim in run.attempts()]
    return len(list(takewhile(lambda mark: mark == marks[-1], reversed(marks))))
