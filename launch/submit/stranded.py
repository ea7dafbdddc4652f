"""Queued cells that their scheduler holds of its own accord, and that nobody else would let go.

SLURM does so with a job that a node could not start, and with one that it has requeued too often.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable

from launch.executors.base import CellStatus, SubmissionError
from launch.executors.table import EXECUTORS

logger = logging.getLogger(__name__)


def free(cells: Iterable[CellStatus]) -> None:
    """Let those of ``cells`` start again that are held so; what cannot be told is a warning."""
    held: defaultdict[str, list[CellStatus]] = defaultdict(list)
    for cell in cells:
        if cell.stranded and cell.batch is not None:
            held[cell.batch.executor].append(cell)
    for name, stranded in held.items():
        try:
            EXECUTORS[name].free(stranded)
        except SubmissionError as error:
            logger.warning("held by SLURM of its own accord, and not let go: %s", error)
        else:
            logger.warning("cells that SLURM held of its own accord, let go: %d", len(stranded))
