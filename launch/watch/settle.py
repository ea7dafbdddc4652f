"""Batches of which it is not known whether a job was made: adopted by name, or void."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from launch.executors import slurm_queries as slurm
from launch.executors.dispatcher import is_dispatched
from launch.records import lease
from launch.records.journal import Batch, Journal
from launch.records.store import Store
from launch.watch.facts import Facts


def settle(journal: Journal, unsettled: Iterable[Batch], facts: Facts) -> None:
    """Find out what became of batches whose launcher died while it submitted them.

    A job found by its name is adopted; where there is none the batch is void and its cells are
    as they were before.  Without an answer of SLURM nothing is decided.
    """
    for batch in unsettled:
        if submitting(journal, batch):
            continue
        if batch.executor == "slurm":
            jobs = facts.of_batch(batch.id)
            if jobs:
                journal.submitted(batch.id, jobs[0].array, adopted=True)
            elif facts.answered and on_this_cluster(batch):
                void(journal, batch, "its launcher died before it was submitted")
        elif is_dispatched(journal, batch.id):
            journal.submitted(batch.id, "", adopted=True)
        else:
            void(journal, batch, "its launcher died before it was started")


def submitting(journal: Journal, batch: Batch) -> bool:
    """Whether the launcher of ``batch`` is still at it."""
    if journal.is_settled(batch.id):
        return False
    claim = lease.latest(launcher_lock(journal.store))
    if claim is None or not claim.alive():
        return False
    return claim.holder.get("token") == batch.launcher.get("token")


def launcher_lock(store: Store) -> Path:
    """Folder of the lease that one launcher at a time holds while it submits."""
    return store.journal / "lock"


def void(journal: Journal, batch: Batch, reason: str) -> None:
    """Declare that ``batch`` came to nothing, and its cells as free as they were before."""
    for signature in batch.signatures:
        run = journal.store.run(signature)
        mark = lease.read_dict(run.queued_path)
        if mark is not None and mark.get("batch") == batch.id:
            run.queued_path.unlink(missing_ok=True)
    shutil.rmtree(journal.submitit_folder(batch.id), ignore_errors=True)
    journal.void(batch.id, reason)


def on_this_cluster(batch: Batch) -> bool:
    """Whether the SLURM that answers here is the one that ``batch`` was given to."""
    there, here = batch.launcher.get("cluster"), slurm.cluster_name()
    return there is None or here is None or there == here
