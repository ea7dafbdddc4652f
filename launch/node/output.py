"""A cell's output in its own run folder, whatever writes it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from launch.node.job_environment import Surroundings
from launch.records.run_folder import RunFolder

logger = logging.getLogger(__name__)


@contextmanager
def output_to(run: RunFolder, attempt: int, where: Surroundings) -> Iterator[None]:
    """Send everything that is printed, also by C code, to the run's own log.

    Each task has a log of its own; inline nothing is redirected, since the user is watching.
    """
    if where.scheduler is None:
        yield
        return
    log = run.log(attempt)
    if where.rank:
        log = log.with_suffix(f".rank{where.rank}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    saved = os.dup(1), os.dup(2)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        _point_output_to(handle, handle)
        yield
    finally:
        _point_output_to(*saved)
        for descriptor in (handle, *saved):
            os.close(descriptor)


def _point_output_to(out: int, err: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:  # a full disk must not hide what happened
            logger.debug("output lost: %s", error)
    os.dup2(out, 1)
    os.dup2(err, 2)
