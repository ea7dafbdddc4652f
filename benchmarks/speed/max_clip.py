"""The longest clip that fits into memory: doubling until it does not, then bisection."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.machine.environment import environment
from benchmarks.machine.memory import available_memory
from benchmarks.records import record_head
from benchmarks.speed.isolated import OutOfMemory, SpeedJob, run_job
from core.errors import UserError

SPARE = 0.9  # of the host's free memory, so that the search does not starve other processes


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        longest: the longest clip that fits; none: not even the shortest one does.
        bounded: whether the next longer one was seen to fail, else the search stopped at its end.
        tried: clip length to whether it fitted, in the order of the trials.
    """

    longest: int | None
    bounded: bool
    tried: dict[int, bool]


def longest_that_fits(fits: Callable[[int], bool], *, start: int = 1, most: int = 1024) -> Search:
    """The largest length up to ``most`` that ``fits``, if every shorter one fits, too.

    Raises:
        UserError: no length is left to try.
    """
    if not 1 <= start <= most:
        raise UserError(f"the search needs 1 <= start <= most, not start={start}, most={most}")
    tried: dict[int, bool] = {}

    def test(length: int) -> bool:
        tried[length] = fits(length)
        return tried[length]

    low, high = 0, start  # low fits, or is nothing
    while test(high):
        low = high
        if high == most:
            return Search(most, False, tried)
        high = min(2 * high, most)
    longest = low + bisect_left(range(low + 1, high), True, key=lambda length: not test(length))
    return Search(longest or None, True, tried)


def find_max_clip(
    job: SpeedJob,
    *,
    start: int = 1,
    most: int = 1024,
    run: Callable[[SpeedJob], object] = run_job,
    report: Callable[[int, bool], None] = lambda length, fitted: None,
) -> dict[str, Any]:
    """Search the longest clip for which the job's one workload fits, masks at video size included.

    Every trial is an isolated process.  On a CPU it may use 90% of the memory that is free at the
    start, unless the job says otherwise: the search must not drive the machine into swapping.

    Args:
        report: told the outcome of every trial.

    Returns:
        A record of kind ``max_clip``.
    """
    (spec,) = job.workloads
    limit = job.memory_limit
    if limit is None and job.device == "cpu":
        free = available_memory()
        limit = int(SPARE * free) if free else None

    def fits(length: int) -> bool:
        longer = replace(spec, shape=replace(spec.shape, clip_length=length))
        trial = replace(job, kind="fits", workloads=(longer,), memory_limit=limit)
        try:
            run(trial)
        except OutOfMemory:
            report(length, False)
            return False
        report(length, True)
        return True

    found = longest_that_fits(fits, start=start, most=most)
    shape = spec.shape
    return {
        **record_head("max_clip", spec.name),
        "protocol": {
            "unit": "frames",
            "scope": "postprocess",
            "device_type": job.device,
            "memory_limit": limit,
            **{key: value for key, value in asdict(shape).items() if key != "clip_length"},
            "most": most,
        },
        "figures": {"max_clip": found.longest, "bounded": found.bounded},
        "tried": {str(length): fitted for length, fitted in found.tried.items()},
        "environment": environment(with_diff=False),
    }
