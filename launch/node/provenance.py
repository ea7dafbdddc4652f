"""What a run was made on and with: written at the start of every attempt.

provenance/<n>.json    code, packages, host, devices, job, command, seed
provenance/<n>.diff    what was not committed, ready for ``git apply``
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.files import write_atomic, write_json
from launch.records import lease
from launch.records.journal import Journal
from launch.records.run_folder import RunFolder, timestamp
from launch.records.shapes import AttemptFile
from launch.records.store import Store

logger = logging.getLogger(__name__)

_JOB_VARIABLES = (
    "SLURM_JOB_ID",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_RESTART_COUNT",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_ACCOUNT",
    "SLURM_JOB_QOS",
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_GPUS",
    "SLURM_NTASKS",
    "SLURM_CPUS_PER_TASK",
    "SLURM_MEM_PER_NODE",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
)


def write_provenance(run: RunFolder, attempt: int) -> None:
    """Record everything that a result may depend on and that the config does not say."""
    from benchmarks.machine.environment import environment

    facts = environment()
    before = [lease.read_dict(run.provenance(n), AttemptFile) for n in range(1, attempt)]
    earlier = different_code([record for record in before if record])
    other_code = bool(earlier) and not same_code(earlier[-1], facts)
    if run.checkpoint.exists() and other_code:
        logger.warning(
            "%s resumes under other code than its attempt %s: %s, not %s; for results of one code, "
            "check that out, or remove the run folder",
            run.signature,
            earlier[-1].get("attempt"),
            code_text(facts),
            code_text(earlier[-1]),
        )
    record = {
        "schema": 1,
        "attempt": attempt,
        "time": timestamp(),
        "signature": run.signature,
        "seed": run.config().seed,
        "trains": not (run.trained() or run.predictions.exists()),
        "job": {name: os.environ[name] for name in _JOB_VARIABLES if name in os.environ},
        "attempt_of": _attempt(run, attempt),
        "submission": _submission(run, attempt),
        "new_code": other_code,
        "environment": facts,
    }
    write_json(run.provenance(attempt), record)
    if diff := facts["git"].get("diff"):
        write_atomic(diff_path(run, attempt), diff)


def different_code(attempts: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of the attempts that trained, the latest one on each code, in the order of the attempts.

    Args:
        attempts: their provenance records; one that does not say whether it trained counts.
    """
    kept: list[Mapping[str, Any]] = []
    for record in attempts:
        if record.get("trains", True):
            kept = [*(one for one in kept if not same_code(one, record)), record]
    return kept


def same_code(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two provenance records, or environments, name the same code.

    What a cell can import counts; of runs from before that was recorded, commit and changes.
    """
    first, second = (record.get("environment", record) for record in (a, b))
    modules = [(facts.get("code") or {}).get("modules") for facts in (first, second)]
    if all(modules):
        return bool(modules[0] == modules[1])
    gits = [facts.get("git") or {} for facts in (first, second)]
    return all(gits[0].get(k) == gits[1].get(k) for k in ("commit", "diff_sha256", "dirty"))


def code_text(record: Mapping[str, Any]) -> str:
    """Name of the code, its commit, and whether there were changes."""
    facts = record.get("environment", record)
    name, git = (facts.get("code") or {}).get("id"), facts.get("git") or {}
    if name and not git.get("commit"):
        return str(name)
    commit = f"commit {str(git.get('commit') or 'unknown')[:12]} ({changes_text(git)})"
    return f"{name}, {commit}" if name else commit


def changes_text(git: Mapping[str, Any]) -> str:
    """Whether a checkout had uncommitted changes, by its record."""
    if git.get("dirty") is None:
        return "changes unknown"
    return "with uncommitted changes" if git["dirty"] else "clean"


def diff_path(run: RunFolder, attempt: int) -> Path:
    """The uncommitted changes of an attempt."""
    return run.provenance(attempt).with_suffix(".diff")


def _attempt(run: RunFolder, attempt: int) -> dict[str, Any]:
    """Host, process, job and batch of the attempt."""
    return lease.read_dict(run.state_folder / f"{attempt}.json") or {}


def _submission(run: RunFolder, attempt: int) -> dict[str, Any] | None:
    """Who submitted the cell, when, and with which command."""
    batch_id = _attempt(run, attempt).get("batch")
    try:
        batch = Journal(Store(run.path.parent.parent)).read(str(batch_id))
    except UserError:
        return None
    return {
        "grid": batch.grid,
        "batch": batch.id,
        "executor": batch.executor,
        "parameters": dict(batch.parameters),
        "pack": dict(batch.pack),
        **{name: batch.launcher.get(name) for name in ("command", "folder", "host", "user")},
        "time": batch.created,
    }
