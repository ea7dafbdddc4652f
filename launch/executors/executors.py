"""How a batch gets to run: in this process, as local processes, or as a SLURM array.

Each takes a batch that the journal already holds, and returns at once (but for ``inline``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.errors import UserError
from launch.executors.profile import Profile, Shape
from launch.node import stop
from launch.node.task import CellTask, task_of_batch
from launch.records.journal import Batch, Journal

logger = logging.getLogger(__name__)

MANY_TIMEOUTS = 10**6  # how often a cell may resume is the retry rules' business


class SubmissionError(UserError):
    """The scheduler did not take the batch."""


def worker_command(batch_file: Path, python: str | None = None) -> str:
    """What submitit is told to be "Python": it appends its own module and folder."""
    python = shlex.quote(sys.executable) if python is None else python
    return f"{python} -u -m launch.node.worker --batch {shlex.quote(str(batch_file))}"


def slurm_parameters(profile: Profile, shape: Shape, comment: str) -> dict[str, Any]:
    """What submitit's SLURM executor is given for cells of ``shape``.

    Args:
        comment: what tells the store's jobs from others.
    """
    gpus = f"{shape.gpu_type}:{shape.gpus}" if shape.gpu_type else shape.gpus
    parameters = {
        "comment": comment,
        "partition": shape.partition,
        "account": shape.account,
        "qos": shape.qos,
        "constraint": shape.constraint,
        "nodes": shape.nodes,
        "gpus_per_node": gpus if shape.gpus else None,
        "ntasks_per_node": shape.tasks_per_node,
        "cpus_per_task": shape.cpus,
        "mem": shape.memory,
        "time": shape.time,
        "signal_delay_s": profile.signal_delay,
        "array_parallelism": profile.array_parallelism,
        "setup": list(profile.setup) or None,
        "stderr_to_stdout": True,
        # a task that fails ends its peers, which would wait for it
        "srun_args": ["--kill-on-bad-exit=1"],
        "additional_parameters": {"requeue": True, **shape.extra},
    }
    return {name: value for name, value in parameters.items() if value is not None}


def task_settings(profile: Profile, shape: Shape) -> dict[str, Any]:
    """What a task has to know of its job's limits."""
    return {"patience": 0.6 * profile.signal_delay, "minutes": shape.time}


def submit_slurm(journal: Journal, batch: Batch, python: str | None = None) -> str:
    """Submit ``batch`` as one job array.

    Returns:
        The job's id.

    Raises:
        SubmissionError: SLURM refuses, does not answer, or is not on this machine.
    """
    import submitit

    try:
        executor = submitit.SlurmExecutor(
            folder=journal.submitit_folder(batch.id),
            max_num_timeout=MANY_TIMEOUTS,
            python=worker_command(journal.folder / f"{batch.id}.json", python),
        )
        executor.update_parameters(**batch.parameters, job_name=batch.job_name)
        with outside_of_jobs():
            jobs = executor.submit_array(tasks(journal, batch))
    except (RuntimeError, OSError) as error:
        raise SubmissionError(f"SLURM did not take the jobs: {str(error).strip()}") from error
    return str(jobs[0].job_id).partition("_")[0]


def submit_command(
    journal: Journal, batch: Batch, command: list[str], dependency: str | None
) -> str:
    """Submit a single command (the report) that may depend on other jobs.

    Raises:
        SubmissionError: SLURM refuses, does not answer, or is not on this machine.
    """
    import submitit

    try:
        executor = submitit.SlurmExecutor(folder=journal.submitit_folder(batch.id))
        executor.update_parameters(
            **batch.parameters, job_name=batch.job_name, dependency=dependency
        )
        with outside_of_jobs():
            job = executor.submit(submitit.helpers.CommandFunction(command))
    except (RuntimeError, OSError) as error:
        raise SubmissionError(f"SLURM did not take the job: {str(error).strip()}") from error
    return str(job.job_id)


def tasks(journal: Journal, batch: Batch) -> list[CellTask]:
    """The tasks of a batch, in order."""
    path = journal.folder / f"{batch.id}.json"
    first = task_of_batch(path, 0)
    runs = journal.store.runs
    return [
        CellTask(str(runs / s), batch.id, k, first.function, first.patience, first.minutes)
        for k, s in enumerate(batch.signatures)
    ]


def start_local(journal: Journal, batch: Batch) -> int:
    """Start the process that runs ``batch`` N cells at a time, and survives this one.

    Returns:
        Its process id.
    """
    folder = journal.submitit_folder(batch.id)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "dispatcher.log").open("ab") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "launch.executors.dispatcher",
                str(journal.store.root),
                batch.id,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process.pid


def run_inline(journal: Journal, batch: Batch) -> Iterator[tuple[str, str]]:
    """Run the cells of ``batch`` one after the other in this process.

    A cell that fails does not keep the next from running; Ctrl-C or SIGTERM lets the present one
    write its checkpoint and leaves the others alone.

    Yields:
        Name and outcome of each cell.
    """
    with stop.interrupt_stops():
        for name, task in zip(batch.names, tasks(journal, batch), strict=True):
            try:
                outcome = task()
            except Exception as error:
                outcome = f"failed: {error}"
            yield name, outcome
            if stop.install()():
                return


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the GPUs that this process may use, without importing torch."""
    given = environment.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() not in ("", "-1")]
    try:
        listing = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return listing.stdout.split() if listing.returncode == 0 else []


def deal_gpus(gpus: list[str], jobs: int, per_cell: int) -> list[list[str]]:
    """The GPUs of each of ``jobs`` lanes; fewer lanes where there are not enough GPUs.

    Raises:
        UserError: a cell needs more GPUs than there are.
    """
    if not gpus or per_cell == 0:
        return [[] for _ in range(jobs)]
    if per_cell > len(gpus):
        raise UserError(f"a cell needs {per_cell} GPUs, but only {len(gpus)} are visible here")
    lanes = min(jobs, len(gpus) // per_cell)
    return [gpus[k * per_cell : (k + 1) * per_cell] for k in range(lanes)]


@contextlib.contextmanager
def outside_of_jobs() -> Iterator[None]:
    """Hide that this process may itself run in a SLURM job: sbatch would inherit its options."""
    keep = {"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_BITSTR_LEN"}
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith(("SLURM_", "SBATCH_", "SRUN_", "SUBMITIT_")) and name not in keep
    }
    try:
        yield
    finally:
        os.environ.update(hidden)
