"""Cells in this process, one after the other: for debugging, and for machines with one GPU."""

from __future__ import annotations

from collections.abc import Iterator

from launch.executors.dispatcher import lease_folder
from launch.executors.executors import run_inline
from launch.records import lease
from launch.records.journal import Batch, Journal
from launch.records.process import myself


def run(journal: Journal, batch: Batch) -> Iterator[tuple[str, str]]:
    """Run the cells of an inline batch.

    Yields:
        Name and outcome of each cell, when it has ended.
    """
    claim = lease.acquire(lease_folder(journal, batch.id), myself())
    try:
        with lease.beating(claim):
            yield from run_inline(journal, batch)
    finally:
        claim.end({"outcome": "done"})
