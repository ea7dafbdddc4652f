"""Questions to SLURM, each one command for all jobs, and what it answers, parsed.

Every command may be missing, hang or fail: that is a :class:`SlurmError`, which callers survive.
"""

from __future__ import annotations

import functools
import getpass
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from launch.records.journal import JOB_PREFIX

TIMEOUT_SECONDS = 60
LIVE = {
    "PENDING": "queued",
    "CONFIGURING": "queued",
    "REQUEUED": "queued",
    "REQUEUE_FED": "queued",
    "REQUEUE_HOLD": "queued",
    "SPECIAL_EXIT": "queued",
    "RESV_DEL_HOLD": "queued",
    "RUNNING": "running",
    "COMPLETING": "running",
    "SUSPENDED": "running",
    "STOPPED": "running",
    "SIGNALING": "running",
    "STAGE_OUT": "running",
    "RESIZING": "running",
}
"""States of jobs that SLURM has not done with, and what that means for a cell."""

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

_ID = re.compile(r"(\d+)(?:_(?:(\d+)|\[([\d,\-]+)(?:%\d+)?\]))?")


class SlurmError(Exception):
    """A command of SLURM is missing, failed or did not answer."""


@dataclass(frozen=True)
class SlurmJob:
    """One task of a job array (or a single job), as SLURM sees it.

    Attributes:
        id: such as "123_4", or "123".
        name: carries the batch's id.
        index: task index; 0 for a single job.
        state: SLURM's word, such as "PENDING".
        node: where it runs or ran, or "".
        reason: why it is pending, or how it ended (exit code).
        comment: names the store that it was submitted from.
        past: SLURM's controller no longer lists it.
    """

    id: str
    name: str
    index: int
    state: str
    node: str = ""
    reason: str = ""
    comment: str = ""
    past: bool = False

    @property
    def batch(self) -> str:
        """Id of the batch that it belongs to."""
        return self.name.removeprefix(JOB_PREFIX)

    @property
    def array(self) -> str:
        """The array's id, or the job's own."""
        return self.id.partition("_")[0]

    @property
    def live(self) -> bool:
        """Whether SLURM has not done with it."""
        return not self.past and self.state not in ENDED


def run_slurm(command: Sequence[str], timeout: float = TIMEOUT_SECONDS) -> str:
    """Standard output of a SLURM command.

    Raises:
        SlurmError: missing, failed, or no answer in time.
    """
    # the length at which task lists are cut off, and formats that a user may have set
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_FORMAT")}
    environment["SLURM_BITSTR_LEN"] = "0"
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=environment,
        )
    except FileNotFoundError:
        raise SlurmError(f"{command[0]}: not found on this machine") from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command[0]}: no answer within {timeout:.0f} s") from None
    except OSError as error:
        raise SlurmError(f"{command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        message = done.stderr.strip() or f"exit status {done.returncode}"
        raise SlurmError(f"{command[0]}: {message}")
    return done.stdout


def queue(users: Iterable[str] = ()) -> list[SlurmJob]:
    """Every job of ours that SLURM knows, ended ones for as long as it remembers: one ``squeue``.

    Args:
        users: whose jobs; none: this user's.

    Raises:
        SlurmError: no answer.
    """
    users = sorted(set(users) or {user_name()})
    output = run_slurm(
        ["squeue", "-h", "-r", "-t", "all", "-u", ",".join(users), "-o", "%F|%K|%T|%N|%r|%j|%k"]
    )
    return list(_parse_queue(output))


def _parse_queue(output: str) -> Iterator[SlurmJob]:
    for line in output.splitlines():
        parts = line.strip().split("|", 6)
        if len(parts) != 7 or not parts[5].startswith(JOB_PREFIX):
            continue
        array, index, state, node, reason, name, comment = parts
        if index.isdigit():
            yield SlurmJob(f"{array}_{index}", name, int(index), state, node, reason, comment)
        else:
            yield SlurmJob(array, name, 0, state, node, reason, comment)


def accounting(ids: Iterable[str]) -> list[SlurmJob]:
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


def _parse_accounting(output: str) -> Iterator[SlurmJob]:
    for line in output.splitlines():
        parts = line.strip().split("|", 4)
        if len(parts) != 5 or not parts[4].startswith(JOB_PREFIX):
            continue
        job_id, state, exit_code, node, name = parts
        word = state.partition(" ")[0]
        for array, index in expand_id(job_id):
            full = array if index is None else f"{array}_{index}"
            node = "" if node == "None assigned" else node
            yield SlurmJob(full, name, index or 0, word, node, exit_code)


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


def cancel(ids: Sequence[str], chunk: int = 500) -> None:
    """Cancel jobs, arrays or tasks of arrays.

    Raises:
        SlurmError: SLURM refuses; what comes before in ``ids`` is cancelled.
    """
    for start in range(0, len(ids), chunk):
        run_slurm(["scancel", *ids[start : start + chunk]])


@functools.cache
def settings() -> dict[str, str]:
    """The site's configuration (``scontrol show config``), asked once a process.

    Raises:
        SlurmError: no answer.
    """
    found = {}
    for line in run_slurm(["scontrol", "show", "config"]).splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found[key.strip()] = value.strip()
    return found


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


def user_name() -> str:
    """Whose jobs are ours."""
    return getpass.getuser()


def is_here() -> bool:
    """Whether this machine can submit jobs."""
    return shutil.which("sbatch") is not None and shutil.which("srun") is not None
