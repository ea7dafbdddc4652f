"""What the schedulers say of all jobs, asked with one or two commands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from launch.executors import slurm_queries as slurm
from launch.executors.slurm_queries import SlurmJob
from launch.records.journal import Batch, Journal


@dataclass
class Facts:
    """SLURM's answers.

    Attributes:
        jobs: batch and index to the job, from ``squeue`` and, where that has forgotten, ``sacct``.
        answered: whether SLURM answered at all.
        problems: commands that failed, for the user to read.
    """

    jobs: dict[tuple[str, int], SlurmJob] = field(default_factory=dict)
    answered: bool = False
    problems: list[str] = field(default_factory=list)

    def of_batch(self, batch: str) -> list[SlurmJob]:
        """The jobs of a batch."""
        return [job for job in self.jobs.values() if job.batch == batch]


def ask(journal: Journal, batches: Iterable[Batch], wanted: Iterable[tuple[str, int]]) -> Facts:
    """Ask SLURM about ``batches``: nothing if none is SLURM's, else one ``squeue`` for all.

    Args:
        wanted: batch and index of the tasks that matter; those that ``squeue`` has forgotten are
            looked up with one ``sacct``.
    """
    facts = Facts()
    ours = {batch.id: batch for batch in batches if batch.executor == "slurm"}
    if not ours:
        return facts
    users = {str(b.launcher["user"]) for b in ours.values() if b.launcher.get("user")}
    try:
        facts.jobs = {(job.batch, job.index): job for job in slurm.queue(users)}
    except slurm.SlurmError as error:
        facts.problems.append(str(error))
        return facts
    facts.answered = True
    forgotten = {b for b, index in wanted if b in ours and (b, index) not in facts.jobs}
    try:
        ids = filter(None, map(journal.job_id, sorted(forgotten)))
        for job in slurm.accounting(ids):
            # what squeue does not list is over, whatever the database still believes; and a job
            # id may have been used again after the controller lost it, so the name decides
            facts.jobs.setdefault((job.batch, job.index), replace(job, past=True))
    except slurm.SlurmError as error:
        facts.problems.append(str(error))
    return facts
