"""What an executor is: where cells run, how they get there, and what it knows of them later.

An executor is one file with one class, and one line in :mod:`launch.executors.table`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from ablations.cell import Cell
from core.errors import UserError
from launch.code.snapshot import start_command
from launch.executors.profile import DEFAULT, Profile, load_profile
from launch.node.task import RUN_CELL
from launch.records.journal import Batch, Journal
from launch.records.process import is_gone, myself
from launch.records.run_folder import RunFolder, RunState
from launch.records.store import Store


class SubmissionError(UserError):
    """The scheduler did not take the batch."""


class NoRoomError(SubmissionError):
    """The scheduler takes no more jobs for now, since a limit on their number is reached."""


class UndecidedError(Exception):
    """Whether a job was made of a batch cannot be known at present."""


@dataclass(frozen=True)
class Target:
    """Where the cells are to run.

    Attributes:
        profile: what a cell asks for.
        jobs: cells at a time, for the local executor.
        function: what a cell calls.
        then: a command to run when all have ended; empty: none.
        code: name of the frozen code that cells run (launch.code.snapshot); none: what stands here.
        new_code: whether that holds for runs that other code began, too.
    """

    executor: Executor
    profile: Profile
    jobs: int = 1
    function: str = RUN_CELL
    then: tuple[str, ...] = ()
    code: str | None = None
    new_code: bool = False


@dataclass(frozen=True)
class BatchPlan:
    """Cells to be submitted together, and what with.

    Attributes:
        parameters: what the executor is given; recorded in the journal.
        settings: what a task has to know: patience and time limit (see launch.node.task).
        after: signature of the run that all of them start from and that has to end before.
        pack: as of :class:`launch.records.journal.Batch`, and so is note.
    """

    cells: tuple[Cell, ...]
    parameters: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    after: str | None = None
    pack: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Order:
    """Cells for an executor to plan.

    Attributes:
        cells: at least one, every one behind those that it has to wait for.
        after: signature to that of the run that has to end before it begins.
        problems: what the user should know is added here.
    """

    store: Store
    target: Target
    cells: Sequence[Cell]
    after: Mapping[str, str]
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Share:
    """What the cells of a batch get of a machine.

    Attributes:
        cells: that run at a time.
        gpus: of each cell; 0: it computes on the CPU.
        cores: of each cell, where it has no GPU.
        shared: cells that have these at the same time.
    """

    cells: int
    gpus: int
    cores: int
    shared: int = 1

    @property
    def alone(self) -> bool:
        """Whether what the counters of a cell's devices count is its own."""
        return self.shared == 1 and (self.gpus > 0 or self.cells == 1)

    @property
    def units(self) -> float:
        """Devices that a cell occupies: GPUs, or CPU cores where it has none."""
        return (self.gpus or self.cores) / self.shared


@dataclass(frozen=True)
class Job:
    """One task of a job array (or a single job), as its scheduler sees it.

    Attributes:
        id: such as "123_4", or "123".
        name: the batch's job name.
        batch: id of the batch that it belongs to.
        index: task index; 0 for a single job.
        state: the scheduler's word, such as "PENDING".
        node: where it runs or ran, or "".
        reason: why it is pending, or how it ended (exit code).
        comment: names the store that it was submitted from.
        live: whether the scheduler has not done with it.
    """

    id: str
    name: str
    batch: str
    index: int
    state: str
    node: str
    reason: str
    comment: str
    live: bool

    @property
    def array(self) -> str:
        """The array's id, or the job's own."""
        return self.id.partition("_")[0]


@dataclass
class Answers:
    """What a scheduler says of all jobs, asked once.

    Attributes:
        jobs: batch and index to the job.
        answered: whether it answered at all.
        problems: commands that failed, for the user to read.
    """

    jobs: Mapping[tuple[str, int], Job] = field(default_factory=dict)
    answered: bool = False
    problems: list[str] = field(default_factory=list)

    def of_batch(self, batch: str) -> list[Job]:
        """The jobs of a batch."""
        return [job for job in self.jobs.values() if job.batch == batch]


@dataclass(frozen=True)
class CellStatus:
    """A run's state, as folder and scheduler together tell it.

    Attributes:
        state: as of :meth:`RunFolder.state`, corrected.
        job_id: the job that runs it, is to run it, or ran it last; or None.
        note: what else there is to say, such as why a job is waiting.
        certain: False: its scheduler could not be asked, so a job may exist.
        batch: the batch that it was last submitted with, if that is on record.
        waits: why its job does not start in its turn, in the scheduler's words; empty: it will.
        hopeless: whether it never will, as it was asked for and as the site is.
        stranded: whether the scheduler holds it, though nobody asked for that.
    """

    state: RunState
    job_id: str | None = None
    note: str = ""
    certain: bool = True
    batch: Batch | None = None
    waits: str = ""
    hopeless: bool = False
    stranded: bool = False

    @property
    def stuck(self) -> bool:
        """Whether it is queued, and will not start unless somebody does something."""
        return self.hopeless or self.stranded


@dataclass(frozen=True)
class Evidence:
    """A cell that its folder calls queued, running or interrupted, and what bears on it.

    Attributes:
        measure: the measurements that are needed of it.
        state: what the folder says.
        batch: the batch that it was last submitted with.
        answers: what its scheduler says.
    """

    journal: Journal
    run: RunFolder
    measure: tuple[str, ...]
    state: RunState
    batch: Batch
    answers: Answers

    @property
    def index(self) -> int:
        """The cell's place in the batch."""
        return int((self.state.submission or {}).get("index", 0))

    @property
    def job(self) -> Job | None:
        """The task, if the scheduler knows it.

        Of a packed batch the one that runs the cell or ran it last, be it of another batch; for a
        cell that waits, any that lives and takes what waits.
        """
        if not self.batch.pack:
            return self.answers.jobs.get((self.batch.id, self.index))
        jobs, holder = self.answers.of_batch(self.batch.id), self.state.holder or {}
        theirs = [] if self.state.queued else self.answers.of_batch(str(holder.get("worker")))
        last = [job for job in (*jobs, *theirs) if job.id == holder.get("job_id")]
        if self.state.name == "queued":
            able = [*jobs, *(last if theirs else [])]
            return max(able, key=lambda job: (job.live, job.state == "RUNNING"), default=None)
        return last[0] if last else None

    @property
    def submitting(self) -> bool:
        """Whether its launcher is still at it."""
        return self.journal.submitting(self.batch)


class Executor:
    """Where cells run. The methods here do for one whose cells are processes of this machine."""

    name: ClassVar[str]
    watch_seconds: ClassVar[float] = 2.0
    """Between two looks at its cells, as often as it is worth."""
    takes_jobs: ClassVar[bool] = False
    """Whether it takes ``--jobs``, the number of cells at a time."""
    runs: ClassVar[Literal["one code a batch", "any code", "what stands here"]] = "any code"
    """Which code its cells can run."""
    device_parameters: ClassVar[tuple[str, ...]] = ()
    """Of a batch's parameters those that choose the kind of device; none: this machine's."""

    # --- before anything is submitted

    def is_here(self) -> bool:
        """Whether this machine has it, so that it may be chosen unasked."""
        return True

    def profile(self, name: str | None) -> Profile:
        """The profile of this name or file; none: its own default.

        Raises:
            ProfileError: no such profile, or a field at fault.
        """
        return load_profile(name or DEFAULT)

    def facts(self) -> dict[str, Any]:
        """What it says of itself, for the record of a launch."""
        return {}

    def plan(self, order: Order) -> list[BatchPlan]:
        """The batches that the cells are submitted in, one after the other.

        Raises:
            UserError: it cannot run the cells.
        """
        return [BatchPlan(tuple(order.cells), {})]

    def more_memory(self, store: Store, profile: Profile, cell: Cell) -> str | None:
        """What a cell that ran out of host memory can be given now; None: no more than it had."""
        return None

    def changed(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
        """Parameters that differ between a batch that waits and what would be submitted now."""
        return []

    def waiting(self, parameters: Mapping[str, Any], job_id: str) -> Mapping[str, Any]:
        """``parameters`` of a batch that begins after the job; none that go in order need that."""
        return parameters

    def place(self, batch: BatchPlan) -> str:
        """Where the cells of a batch would run, in words."""
        raise NotImplementedError

    def share(self, batch: BatchPlan) -> Share:
        """What each cell of a batch would get, and how many of them at a time."""
        raise NotImplementedError

    def submitted_text(self, count: int, jobs: Sequence[str]) -> str:
        """What was done with ``count`` cells, in words."""
        raise NotImplementedError

    # --- submitting

    def submit(self, journal: Journal, batch: Batch, target: Target) -> str:
        """Have the cells of ``batch``, which the journal holds already, run; returns at once.

        Returns:
            The job's id; "" where there is none.

        Raises:
            SubmissionError: it was not taken, or that is not known.
        """
        raise NotImplementedError

    def run(self, journal: Journal, batch: Batch) -> Iterator[tuple[str, str]]:
        """Run here and now what is to run in this process: name and outcome of each cell."""
        return iter(())

    def report(
        self, journal: Journal, grid: str, target: Target, batches: int, waiting: Sequence[str]
    ) -> str:
        """Have ``target.then`` run when all cells have ended; says how.

        Args:
            batches: number of batches that were submitted just now.
            waiting: ids of the jobs that run or are to run cells of the grid.

        Raises:
            UserError: nothing is left to wait for.
        """
        raise NotImplementedError

    # --- afterwards

    def ask(
        self, journal: Journal, batches: Sequence[Batch], tasks: Collection[tuple[str, int]]
    ) -> Answers:
        """What is known of ``batches``, of which batch and index in ``tasks`` matter."""
        return Answers(answered=True)

    def made(self, journal: Journal, batch: Batch, answers: Answers) -> str | None:
        """Id of the job that was made of a batch whose launcher could not say; None: no job.

        Raises:
            UndecidedError: that cannot be known now.
        """
        raise NotImplementedError

    def status(self, evidence: Evidence) -> CellStatus | None:
        """What has become of a cell of its; None: no job is left to run it."""
        raise NotImplementedError

    def ended(self, evidence: Evidence) -> str | None:
        """Why no job is left, if it knows: one of :data:`launch.records.failures.CAUSES`."""
        return None

    def job_id(self, journal: Journal, batch: Batch, index: int) -> str | None:
        """Its id of one task of a batch, if the batch's job is known and tasks have ids."""
        return None

    def cancel(self, journal: Journal, cells: Iterable[CellStatus]) -> None:
        """Have cells that are queued or running stop; their folders have a mark already.

        Raises:
            SubmissionError: it could not be told.
        """
        for cell in cells:
            holder: Mapping[str, object] = cell.state.holder or {}
            here = holder.get("machine") == myself()["machine"] and not is_gone(holder)
            if cell.state.name == "running" and here and isinstance(pid := holder.get("pid"), int):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGTERM)

    def take_back(self, cells: Iterable[CellStatus]) -> None:
        """Have queued cells that have not begun by now not run; those that have are left alone.

        Raises:
            SubmissionError: it could not be told.
        """

    def hold(self, cells: Sequence[CellStatus], *, release: bool) -> None:
        """Keep queued cells from starting, or let them start again.

        Raises:
            UserError: it cannot do that.
            SubmissionError: it could not be told.
        """
        raise UserError(
            f"the executor {self.name} cannot hold cells: tevit cancel takes them back, and "
            "tevit launch brings them again"
        )

    def free(self, cells: Iterable[CellStatus]) -> None:
        """Let cells start again that the scheduler holds, though nobody asked for that.

        Raises:
            SubmissionError: it could not be told.
        """

    def log(self, journal: Journal, batch: Batch, index: int) -> Path | None:
        """The file that is written around a cell's own log, if any."""
        return None


def worker_command(
    journal: Journal, batch: Batch, python: str | None = None, *, index: int = 0
) -> str:
    """What submitit is told to be "Python": it appends its own module and folder.

    Args:
        index: the task, whose code it is to be.
    """
    python = shlex.quote(sys.executable) if python is None else python
    start = start_command(journal.store, batch.code(index), "launch.node.worker")
    return f"{python} -u {shlex.join([*start, '--batch', str(journal.file(batch))])}"


def check_path(store: Store) -> None:
    """Refuse what submitit and sbatch would take for a pattern.

    Raises:
        UserError: the store's path has a %.
    """
    if "%" in str(store.root):
        raise UserError(
            f"the store {store.root} has a % in its path, which submitit and sbatch replace as a "
            "pattern: give --store another path, such as a symbolic link to it"
        )


def check_shares(cells: Iterable[Cell], tasks: int) -> None:
    """Refuse, before anything is submitted, what every task would refuse when it starts.

    Raises:
        UserError: a step's clips cannot be shared out among ``tasks`` processes.
    """
    for cell in cells:
        train = cell.config.train
        if "ap" in cell.measure and train.clips % (tasks * train.accumulate):
            raise UserError(
                f"cell {cell.name}: train.clips={train.clips} cannot be shared out among {tasks} "
                f"processes (one a GPU) with train.accumulate={train.accumulate}; use a multiple "
                f"of {tasks * train.accumulate}, or another number of gpus in the profile"
            )


def nothing_to_wait_for(grid: str) -> UserError:
    """The fault of a report that is to wait for cells, where none is on its way."""
    return UserError(f"nothing of {grid} is queued or running: tevit report {grid}")
