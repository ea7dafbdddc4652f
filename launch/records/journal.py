"""What was submitted: written before the scheduler is asked, completed after it answered.

    <root>/launch/batches/<id>.json        a batch: its cells in order, parameters, launcher
    <root>/launch/batches/<id>.job.json    the job that the scheduler made of it
    <root>/launch/batches/<id>.void.json   it came to nothing

A launcher that dies in between leaves a batch that is neither: its job, if there is one, is
found by its name, which carries the batch's id.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic
from pydantic_core import to_jsonable_python

from core.files import write_json
from launch.records import lease
from launch.records.shapes import Signature, read_whole
from launch.records.store import Store

JOB_PREFIX = "tevit-"


@pydantic.dataclasses.dataclass(frozen=True, config=pydantic.ConfigDict(extra="forbid"))
class Batch:
    """Cells that are submitted together: one job array, or one local queue.

    Attributes:
        id: unique; part of the job's name.
        executor: its name, see :mod:`launch.executors.table`.
        signatures: run folder of each task, by task index.
        names: the cells' names, likewise.
        parameters: what the executor was given.
        function: what a task calls, as ``module:name``.
        settings: what a task has to know: patience and time limit (see launch.node.task).
        launcher: the process that submitted it.
        codes: name of the code that each task runs (launch.code.snapshot), by task index; empty:
            whatever Python finds there.
        pack: empty, or how a job runs several cells: "cells" and "side_by_side" (see
            launch.node.pack).
        note: what is to be known of its cells while they wait or run.
    """

    id: str
    grid: str
    executor: str
    signatures: tuple[Signature, ...]
    names: tuple[str, ...]
    function: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    launcher: Mapping[str, Any] = field(default_factory=dict)
    created: pydantic.FiniteFloat = field(default_factory=time.time)
    codes: tuple[str, ...] = ()
    pack: Mapping[str, pydantic.StrictInt] = field(default_factory=dict)
    note: str = ""

    def code(self, index: int) -> str | None:
        """The code that a task runs, if it is to be a particular one."""
        return self.codes[index] if self.codes else None

    @property
    def jobs(self) -> int:
        """How many jobs it is to the scheduler: one a cell, or fewer where they are packed."""
        return -(-len(self.signatures) // self.pack.get("cells", 1))

    @property
    def job_name(self) -> str:
        """The scheduler's name for it."""
        return JOB_PREFIX + self.id


@dataclass(frozen=True)
class Journal:
    """The launcher's records in a store."""

    store: Store

    @property
    def folder(self) -> Path:
        """Folder of the batches."""
        return self.store.journal / "batches"

    @property
    def lock(self) -> Path:
        """Folder of the lease that one launcher at a time holds while it submits."""
        return self.store.journal / "lock"

    def file(self, batch: Batch) -> Path:
        """The record of a batch."""
        return self.folder / f"{batch.id}.json"

    def submitit_folder(self, batch: str) -> Path:
        """Where submitit keeps a batch's files: one folder each, so that ids never clash."""
        return self.store.journal / "submitit" / batch

    def begin(self, batch: Batch) -> None:
        """Record ``batch`` before it is submitted."""
        write_json(self.file(batch), to_jsonable_python(batch))

    def submitted(self, batch: str, job_id: str, *, adopted: bool = False) -> None:
        """Record the job that the scheduler made of ``batch``."""
        record = {"job_id": job_id, "time": time.time(), "adopted": adopted}
        write_json(self.folder / f"{batch}.job.json", record)

    def void(self, batch: str, reason: str) -> None:
        """Record that ``batch`` came to nothing."""
        record = {"reason": reason, "time": time.time()}
        write_json(self.folder / f"{batch}.void.json", record)

    def read(self, batch: str) -> Batch:
        """The batch of this id.

        Raises:
            UserError: no such batch, or a damaged record.
        """
        return read_whole(self.folder / f"{batch}.json", Batch, "a batch's record")

    def job_id(self, batch: str) -> str | None:
        """Id of the batch's job, if it is known."""
        record = lease.read_dict(self.folder / f"{batch}.job.json")
        return str(record["job_id"]) if record and record.get("job_id") else None

    def is_void(self, batch: str) -> bool:
        """Whether the batch is known to have come to nothing."""
        return (self.folder / f"{batch}.void.json").exists()

    def is_settled(self, batch: str) -> bool:
        """Whether it is known what became of the submission."""
        return self.is_void(batch) or (self.folder / f"{batch}.job.json").exists()

    def submitting(self, batch: Batch) -> bool:
        """Whether the launcher of ``batch`` is still at it."""
        if self.is_settled(batch.id):
            return False
        claim = lease.latest(self.lock)
        if claim is None or not claim.alive():
            return False
        return claim.holder.get("token") == batch.launcher.get("token")

    def ids(self) -> set[str]:
        """Every batch."""
        return {name for name, kind in self._files() if not kind}

    def unsettled(self) -> list[Batch]:
        """Batches of which it is not known whether a job was made."""
        files = set(self._files())
        names = sorted({name for name, _ in files})
        settled = {name for name in names if {(name, "job"), (name, "void")} & files}
        return [self.read(name) for name in names if name not in settled]

    def _files(self) -> Iterator[tuple[str, str]]:
        if self.folder.is_dir():
            for path in self.folder.glob("[!.]*.json"):
                name, _, kind = path.stem.partition(".")
                yield name, kind


def new_batch_id() -> str:
    """A name for a batch, by time of submission."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(4)
