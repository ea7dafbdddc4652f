"""Every executor: a new one is a file beside this one, and a line here."""

from __future__ import annotations

from core.config.overrides import unknown
from core.errors import UserError
from launch.executors.base import Executor
from launch.executors.inline import Inline
from launch.executors.local import Local
from launch.executors.slurm import Slurm

EXECUTORS: dict[str, Executor] = {
    executor.name: executor
    for executor in (
        Inline(),
        Local(),
        Slurm(),
    )
}
"""By name; of those that are here, the last one is chosen unasked."""


def find_executor(name: str | None) -> Executor:
    """The executor of this name; none: the best that this machine has.

    Raises:
        UserError: no such executor; lists the names.
    """
    if name is None:
        return next(e for e in reversed(EXECUTORS.values()) if e.is_here())
    if name not in EXECUTORS:
        raise UserError(unknown("executor", name, EXECUTORS))
    return EXECUTORS[name]
