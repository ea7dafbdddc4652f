"""Questions to SLURM, each one command for all jobs, and what it answers, parsed.

Every command may be missing, hang or fail: that is a :class:`SlurmError`, which callers survive.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence

from launch.executors.base import Job, SubmissionError
from launch.records.journal import JOB_PREFIX

TIMEOUT_SECONDS = 60.0
_SQUEUE = ("squeue", "-h", "-r", "-t", "all", "-o", "%F|%K|%T|%N|%r|%j|%k")
# a user's own formats, filters and defaults of SLURM's commands
_USERS_OWN = re.compile(r"(SQUEUE|SACCT|SCANCEL|SCONTROL)_|.*_FORMAT$")
_COMPLAINT = re.compile(r"\b(error|fatal|invalid|unable|denied)\b", re.IGNORECASE)
QUEUED = (
    *("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD"),
    *("SPECIAL_EXIT", "RESV_DEL_HOLD"),
)
"""States of jobs that are to begin; of all others that are not in :data:`ENDED`, a cell runs."""

ENDED = {
    "BOOT_FAIL": "node failure",
    "NODE_FAIL": "node failure",
    "DEADLINE": "timeout",
    "TIMEOUT": "timeout",
    "PREEMPTED": "preempted",
    "OUT_OF_MEMORY": "out of memory",
    "CANCELLED": "cancelled",
    "REVOKED": "cancelled",
    "FAILED": "died",
    "COMPLETED": "died",
}
"""Final states, and the cause that each one is of a cell's not having finished."""

NEVER_STARTS = re.compile(
    r"BadConstraints|PartitionConfig|PartitionTimeLimit|DependencyNeverSatisfied|DeadLine"
    r"|Invalid(Account|QOS)|\w*Max\w*PerJob\w*|QOSMin\w*"
)
"""Why a job is pending: what the site does not have, or does not allow a job of this user."""

HELD_BY_SLURM = re.compile(r"launch failed requeued held|JobHoldMaxRequeue")
"""Why SLURM holds a job of its own accord: a node could not start it, or it was requeued too often
(MaxBatchRequeue: five preemptions, by default)."""

_USUAL = (
    *("", "None", "Priority", "Resources", "Dependency", "BeginTime", "JobArrayTaskLimit"),
    *("JobHeldUser", "JobHeldAdmin"),
)

_ID = re.compile(r"(\d+)(?:_(?:(\d+)|\[([\d,\-]+)(?:%\d+)?\]))?")


class SlurmError(SubmissionError):
    """A command of SLURM is missing, failed or did not answer."""


def run_slurm(command: Sequence[str], *, question: bool = True) -> str:
    """Standard output of a SLURM command.

    Args:
        question: an answer that comes with a complaint, as ``squeue`` gives it with exit status 0
            of a user whom it does not know, is no answer.

    Raises:
        SlurmError: missing, failed, or no answer in time.
    """
    environment = {k: v for k, v in os.environ.items() if not _USERS_OWN.match(k)}
    environment["SLURM_BITSTR_LEN"] = "0"  # the length at which task lists are cut off
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=False,
            env=environment,
        )
    except FileNotFoundError:
        raise SlurmError(f"{command[0]}: not found on this machine") from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command[0]}: no answer within {TIMEOUT_SECONDS:.0f} s") from None
    except OSError as error:
        raise SlurmError(f"{command[0]}: {error.strerror}") from error
    complaint = done.stderr.strip()
    doubtful = question and (_COMPLAINT.search(complaint) or (complaint and not done.stdout))
    if done.returncode != 0 or doubtful:
        raise SlurmError(f"{command[0]}: {complaint or f'exit status {done.returncode}'}")
    return done.stdout


def queue(uids: Iterable[int] = ()) -> list[Job]:
    """Every job of ours that SLURM knows, ended ones for as long as it remembers: one ``squeue``.

    Args:
        uids: whose jobs, by number, since names may lie (LOGNAME); this user's are always in.

    Raises:
        SlurmError: no answer.
    """
    users = ",".join(str(uid) for uid in sorted({*uids, os.getuid()}))
    return list(_parse_queue(run_slurm([*_SQUEUE, "-u", users])))


def queue_of(ids: Sequence[str]) -> list[Job]:
    """What the controller lists of these jobs, asked by their ids; nothing for none.

    Raises:
        SlurmError: no answer.
    """
    if not ids:
        return []
    try:
        return list(_parse_queue(run_slurm([*_SQUEUE, "-j", ",".join(ids)])))
    except SlurmError as error:
        if "invalid job id" in str(error).lower():
            return []
        raise


def _parse_queue(output: str) -> Iterator[Job]:
    for line in output.splitlines():
        parts = line.strip().split("|", 6)
        if len(parts) != 7 or not parts[5].startswith(JOB_PREFIX):
            continue
        array, index, state, node, reason, name, comment = parts
        full = f"{array}_{index}" if index.isdigit() else array
        yield _job(full, name, index, state, node, reason, comment)


def _job(
    job_id: str, name: str, index: str | int, state: str, node: str, reason: str, comment: str = ""
) -> Job:
    return Job(
        id=job_id,
        name=name,
        batch=name.removeprefix(JOB_PREFIX),
        index=int(index) if str(index).isdigit() else 0,
        state=state,
        node="" if node in ("None assigned", "(null)") else node,
        reason=reason,
        comment=comment,
        live=state not in ENDED,
    )


def is_usual(reason: str) -> bool:
    """Whether a job that is pending for it will start in its turn."""
    return reason in _USUAL


def is_refused(job: Job) -> bool:
    """Whether SLURM made the job only to refuse it: it failed without ever having had a node."""
    return job.state == "FAILED" and not job.node


def accounting(ids: Iterable[str]) -> list[Job]:
    """What the accounting database says of these jobs (arrays whole): one ``sacct``.

    Raises:
        SlurmError: no answer, or no accounting at this site.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return []
    columns = "JobID,State,ExitCode,NodeList,JobName%200"
    output = run_slurm(["sacct", "-X", "-n", "-P", "-j", ",".join(wanted), "-o", columns])
    return list(_parse_accounting(output))


def _parse_accounting(output: str) -> Iterator[Job]:
    for line in output.splitlines():
        parts = line.strip().split("|", 4)
        if len(parts) != 5 or not parts[4].startswith(JOB_PREFIX):
            continue
        job_id, state, exit_code, node, name = parts
        for array, index in expand_id(job_id):
            full = array if index is None else f"{array}_{index}"
            yield _job(full, name, index or 0, state.partition(" ")[0], node, exit_code)


def expand_id(text: str) -> list[tuple[str, int | None]]:
    """Array and index of each job that ``text`` names: ``12``, ``12_3`` or ``12_[0,4-6%2]``.

    Example:
        >>> expand_id("12_[0,4-5%2]")
        [('12', 0), ('12', 4), ('12', 5)]
    """
    match = _ID.fullmatch(text)
    if match is None:
        return []
    array, index, ranges = match.groups()
    if ranges is None:
        return [(array, int(index) if index else None)]
    found: list[tuple[str, int | None]] = []
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        found += [(array, k) for k in range(int(first), int(last or first) + 1)]
    return found


def scancel(ids: Sequence[str], *, only_pending: bool = False) -> None:
    """Cancel jobs, arrays or tasks of arrays.

    Args:
        only_pending: leave alone what runs.

    Raises:
        SlurmError: SLURM refuses; what comes before in ``ids`` is cancelled.
    """
    _order(["scancel", *(["--state=PENDING"] if only_pending else [])], ids)


def hold_jobs(ids: Sequence[str], *, release: bool = False) -> None:
    """Keep pending jobs, arrays or tasks of arrays from starting, or let them start again.

    Raises:
        SlurmError: SLURM refuses.
    """
    _order(["scontrol", "release" if release else "hold"], ids)


def _order(command: Sequence[str], ids: Sequence[str], chunk: int = 500) -> None:
    for start in range(0, len(ids), chunk):
        run_slurm([*command, *ids[start : start + chunk]], question=False)


@functools.cache
def settings() -> dict[str, str]:
    """The site's configuration (``scontrol show config``), asked once a process.

    Raises:
        SlurmError: no answer.
    """
    lines = run_slurm(["scontrol", "show", "config"]).splitlines()
    parts = (line.partition("=") for line in lines)
    return {key.strip(): value.strip() for key, equals, value in parts if equals}


def largest_array() -> int:
    """Tasks that one array may have here.

    Raises:
        SlurmError: no answer.
    """
    return max(1, int(settings().get("MaxArraySize", "1001")) - 1)


@functools.cache
def cluster_name() -> str | None:
    """What this cluster calls itself; None if it does not say."""
    try:
        return settings().get("ClusterName")
    except SlurmError:
        return None


def is_here() -> bool:
    """Whether this machine can submit jobs."""
    return shutil.which("sbatch") is not None and shutil.which("srun") is not None
