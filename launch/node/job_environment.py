"""Where a process finds itself: which job of which scheduler, and which of its tasks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.training.world import world_from_environment

REQUEUE_SECONDS = 60
_REQUEUE = {"slurm": ("scontrol", "requeue")}


@dataclass(frozen=True)
class JobEnvironment:
    """A task's place.

    Attributes:
        scheduler: by submitit's name, such as "slurm" or "local"; None: just this process.
        job_id: such as "123_4", or None.
        restarts: how often the scheduler has started the job again.
        rank: of the tasks of the job, 0 leads.
        tasks: how many tasks work on the cell.
        local_rank: of the tasks on this node.
        node: the scheduler's name of the node, or None.
    """

    scheduler: str | None = None
    job_id: str | None = None
    restarts: int = 0
    rank: int = 0
    tasks: int = 1
    local_rank: int = 0
    node: str | None = None

    @classmethod
    def detect(cls, environment: Mapping[str, str] = os.environ) -> JobEnvironment:
        """What the environment variables of submitit and SLURM say."""
        executor = environment.get("SUBMITIT_EXECUTOR")
        if executor is None:
            return cls()
        world = world_from_environment(environment)
        place = cls(executor, None, 0, world.rank, world.size, world.local_rank)
        if executor not in _REQUEUE:
            return replace(place, job_id=environment.get("SUBMITIT_LOCAL_JOB_ID"))
        array, index = (environment.get(f"SLURM_ARRAY_{x}_ID") for x in ("JOB", "TASK"))
        return replace(
            place,
            job_id=f"{array}_{index}" if array else environment["SLURM_JOB_ID"],
            restarts=int(environment.get("SLURM_RESTART_COUNT", 0)),
            node=environment.get("SLURMD_NODENAME"),
        )

    @property
    def requeue_command(self) -> tuple[str, ...]:
        """What has the scheduler start the job again; empty: it cannot.

        One that can also warns before it ends a job.
        """
        return (*_REQUEUE[self.scheduler], str(self.job_id)) if self.scheduler in _REQUEUE else ()

    def facts(self) -> dict[str, Any]:
        """For the claim on the run folder."""
        names = ("scheduler", "job_id", "restarts", "tasks", "node")
        return {name: getattr(self, name) for name in names}

    def is_mine(self, holder: Mapping[str, Any]) -> bool:
        """Whether ``holder`` is a task of the same start of the same job."""
        same = holder.get("job_id"), int(holder.get("restarts") or 0)
        return same == (self.job_id, self.restarts)


def requeue() -> str | None:
    """Have the scheduler start this job again; None, or why it will not."""
    command = JobEnvironment.detect().requeue_command
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=REQUEUE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip() or f"exit {done.returncode}"
