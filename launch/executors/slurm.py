"""Cells as tasks of SLURM's job arrays, one array for each resource shape, through submitit."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from ablations.cell import Cell
from core.errors import UserError
from launch.executors import slurm_queries as queries
from launch.executors.base import (
    Answers,
    BatchPlan,
    CellStatus,
    Evidence,
    Executor,
    Job,
    NoRoomError,
    Order,
    Share,
    SubmissionError,
    Target,
    UndecidedError,
    check_path,
    check_shares,
    nothing_to_wait_for,
    worker_command,
)
from launch.executors.memory import grown_memory, more_memory
from launch.executors.profile import Profile, Shape
from launch.executors.slurm_options import (
    from_environment_said,
    slurm_parameters,
    task_settings,
)
from launch.node.pack import job_of_batch
from launch.records import lease
from launch.records.journal import Batch, Journal, new_batch_id
from launch.records.process import myself
from launch.records.run_folder import RunFolder, RunState
from launch.records.store import Store

MANY_TIMEOUTS = 10**6  # how often a cell may resume is the retry rules' business
USUAL_ARRAY_LIMIT = 1000
_NO_ROOM = ("submit limit", "submitjob", "maxsubmit", "job/user limit", "job count limit")
_HIDDEN = ("comment", "dependency", "srun_args", "stderr_to_stdout")


class Slurm(Executor):
    """A cluster's scheduler."""

    name: ClassVar[str] = "slurm"
    watch_seconds: ClassVar[float] = 30.0  # each look is a question to the controller
    runs = "one code a batch"
    device_parameters: ClassVar[tuple[str, ...]] = (
        *("partition", "constraint", "nodes", "gpus_per_node"),
        *("ntasks_per_node", "cpus_per_task"),
    )

    # --- before anything is submitted

    def is_here(self) -> bool:
        """Whether this machine can submit jobs."""
        return queries.is_here()

    def facts(self) -> dict[str, Any]:
        """The cluster's name."""
        return {"cluster": queries.cluster_name()}

    def plan(self, order: Order) -> list[BatchPlan]:
        """One array a resource shape and start run, and as many as the site's limit asks for."""
        if not self.is_here():
            raise UserError(
                "this machine has no SLURM (sbatch and srun are not found); "
                "use --executor local or --executor inline"
            )
        check_path(order.store)
        profile, journal, after = order.target.profile, Journal(order.store), order.after
        groups: dict[tuple[str, str | None, bool, str], tuple[Shape, list[Cell]]] = {}
        awaited = set(after.values())  # others can wait for a job, not for what any job may take
        for cell in order.cells:
            shape = profile.shape(cell.config) if profile.rules else profile
            memory = grown_memory(journal, order.store.run(cell.signature), shape)
            if memory is not None:
                shape = shape.model_copy(update={"memory": memory})
            packed = shape.pack is not None and cell.signature not in awaited
            resources = shape.model_dump_json() if profile.rules else ""
            note = "" if memory is None else f"memory {memory}, after it ran out of less"
            key = (resources, after.get(cell.signature), packed, note)
            groups.setdefault(key, (shape, []))[1].append(cell)
        limit = _site_limit(order.problems)
        limit = min(limit, profile.max_array_size or limit)
        batches = []
        for (_, start, packed, note), (shape, group) in groups.items():
            check_shares(group, shape.nodes * shape.tasks_per_node)
            parameters = slurm_parameters(profile, shape, order.store.job_comment)
            settings = task_settings(profile, shape)
            pack = shape.pack.model_dump() if shape.pack and packed else {}
            most = limit * pack.get("cells", 1)
            batches += [
                BatchPlan(tuple(group[k : k + most]), parameters, settings, start, pack, note)
                for k in range(0, len(group), most)
            ]
            if pack.get("side_by_side", 1) > 1 and any("fps" in cell.measure for cell in group):
                order.problems.append(
                    "cells that run side by side share the GPU, so their fps suffers: measure fps "
                    "with side_by_side: 1"
                )
        order.problems.extend(from_environment_said([shape for shape, _ in groups.values()]))
        return batches

    def more_memory(self, store: Store, profile: Profile, cell: Cell) -> str | None:
        """As the profile's ``on_out_of_memory`` says."""
        shape = profile.shape(cell.config)
        return more_memory(Journal(store), store.run(cell.signature), shape)

    def changed(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
        """Resources and options."""
        names = [name for name in {**before, **now} if name not in _HIDDEN]
        return [name for name in names if before.get(name) != now.get(name)]

    def waiting(self, parameters: Mapping[str, Any], job_id: str) -> Mapping[str, Any]:
        """However the job ends: the cells look for themselves whether its run is trained."""
        before = [parameters["dependency"]] if "dependency" in parameters else []
        return {**parameters, "dependency": ",".join([*before, f"afterany:{job_id}"])}

    def place(self, batch: BatchPlan) -> str:
        """With every option that matters."""
        shown = {name: value for name, value in batch.parameters.items() if name not in _HIDDEN}
        jobs = -(-len(batch.cells) // batch.pack.get("cells", 1))
        kind = "a job array" if jobs > 1 else "a job"
        if batch.pack:
            kind += " of {} with {cells} cells each, {side_by_side} at a time,".format(
                jobs, **batch.pack
            )
        if batch.after is not None:
            kind += " behind its start run's"
        return f"{kind} with " + ", ".join(f"{name}={value}" for name, value in shown.items())

    def share(self, batch: BatchPlan) -> Share:
        """As the parameters say; cells of an array wait for nothing but the array's own limit."""
        asked = batch.parameters
        gpus = int(str(asked.get("gpus_per_node", 0)).rpartition(":")[2])
        cores = asked["nodes"] * asked["ntasks_per_node"] * asked.get("cpus_per_task", 1)
        shared = batch.pack.get("side_by_side", 1)
        jobs = -(-len(batch.cells) // batch.pack.get("cells", 1))
        cells = shared * min(jobs, asked["array_parallelism"])
        return Share(cells, asked["nodes"] * gpus, cores, shared)

    def submitted_text(self, count: int, jobs: Sequence[str]) -> str:
        """With the jobs' ids."""
        ids = ", ".join(jobs[:8]) + (" ..." if len(jobs) > 8 else "")
        return f"{count} cells submitted (SLURM jobs {ids})"

    # --- submitting

    def submit(self, journal: Journal, batch: Batch, target: Target) -> str:
        """As one job array."""
        import submitit

        folder = journal.submitit_folder(batch.id)
        python = worker_command(journal, batch, target.profile.python)
        with _submission():
            executor = submitit.SlurmExecutor(folder, max_num_timeout=MANY_TIMEOUTS, python=python)
            executor.update_parameters(**batch.parameters, job_name=batch.job_name)
            file = journal.file(batch)
            jobs = executor.submit_array([job_of_batch(file, k) for k in range(batch.jobs)])
        return str(jobs[0].job_id).partition("_")[0]

    def report(
        self, journal: Journal, grid: str, target: Target, batches: int, waiting: Sequence[str]
    ) -> str:
        """A job of its own behind all of the grid's, those of earlier launches too."""
        import submitit

        arrays = {job.partition("_")[0] for job in waiting}
        behind = sorted({job for job in arrays if job.isdigit()}, key=int)
        if not behind:
            raise nothing_to_wait_for(grid)
        shape = target.profile.report_shape
        batch = Batch(
            id=new_batch_id(),
            grid=grid,
            executor=self.name,
            signatures=(),
            names=(),
            function="report",
            parameters=slurm_parameters(target.profile, shape, journal.store.job_comment),
            launcher=myself(command=sys.argv),
        )
        journal.begin(batch)
        dependency = "afterany:" + ":".join(behind)
        try:
            with _submission():
                executor = submitit.SlurmExecutor(
                    journal.submitit_folder(batch.id), python=f"{sys.executable} -P"
                )
                executor.update_parameters(
                    **batch.parameters, job_name=batch.job_name, dependency=dependency
                )
                job = executor.submit(submitit.helpers.CommandFunction([*target.then]))
        except SubmissionError as error:
            journal.void(batch.id, str(error))
            raise
        journal.submitted(batch.id, str(job.job_id))
        return f"report: job {job.job_id}, when all have ended"

    # --- afterwards

    def ask(
        self, journal: Journal, batches: Sequence[Batch], tasks: Collection[tuple[str, int]]
    ) -> Answers:
        """One ``squeue`` for all, and one ``sacct`` for the tasks that it has forgotten.

        What the accounting calls alive although the queue does not list it, the controller is
        asked for by its id: the database may believe in a job that the controller has lost.
        """
        if not batches:
            return Answers()
        try:
            uids = {uid for b in batches if (uid := b.launcher.get("uid")) is not None}
            jobs = {(job.batch, job.index): job for job in queries.queue(uids)}
        except queries.SlurmError as error:
            return Answers(problems=[str(error)])
        answers = Answers(jobs, answered=True)
        ours = {batch.id for batch in batches}
        packed = {batch.id: batch.jobs for batch in batches if batch.pack}
        named = {task for task in tasks if task[0] in ours and task[0] not in packed}
        named |= {(name, k) for name, count in packed.items() for k in range(count)}
        forgotten = {task for task in named if task not in jobs}
        ids = sorted({job_id for name, _ in forgotten if (job_id := journal.job_id(name))})
        try:
            # a job id may have been used again after the controller lost it: the name decides
            past = {
                (job.batch, job.index): job
                for job in queries.accounting(ids)
                if (job.batch, job.index) not in jobs
            }
            doubtful = {job.array for task, job in past.items() if job.live and task in forgotten}
            listed = {(job.batch, job.index): job for job in queries.queue_of(sorted(doubtful))}
            for task, job in past.items():
                jobs[task] = listed.get(task) or replace(job, live=False)
        except queries.SlurmError as error:
            answers.problems.append(str(error))
        return answers

    def made(self, journal: Journal, batch: Batch, answers: Answers) -> str | None:
        """The job of the batch's name, but one that SLURM made only to refuse it."""
        jobs = answers.of_batch(batch.id)
        if taken := [job for job in jobs if not queries.is_refused(job)]:
            return taken[0].array
        if not jobs and not (answers.answered and _on_this_cluster(batch)):
            raise UndecidedError
        return None

    def status(self, evidence: Evidence) -> CellStatus | None:
        """What SLURM has not done with nobody else may run."""
        job, state = evidence.job, evidence.state
        if job is not None:
            if evidence.batch.pack:
                return _packed(evidence.run, state, job) if job.live else None
            return _live(state, job) if job.live else None
        if evidence.submitting:
            return CellStatus(state, None, "being submitted")
        job_id = self.job_id(evidence.journal, evidence.batch, evidence.index)
        if not evidence.answers.answered:
            return CellStatus(state, job_id, "SLURM does not answer", certain=False)
        if not _on_this_cluster(evidence.batch):
            cluster = evidence.batch.launcher.get("cluster")
            return CellStatus(state, job_id, f"submitted on cluster {cluster}", certain=False)
        return None

    def ended(self, evidence: Evidence) -> str | None:
        """By the job's final state."""
        if evidence.job is None:
            return None
        cause = queries.ENDED.get(evidence.job.state)
        if evidence.batch.pack and evidence.state.name == "queued" and cause != "cancelled":
            return None  # how a worker ended says nothing of a cell that it had not begun
        return cause

    def job_id(self, journal: Journal, batch: Batch, index: int) -> str | None:
        """``123_4``; ``123`` where one cell is all of the job, or any of its tasks may take it."""
        job_id = journal.job_id(batch.id)
        whole = batch.pack or len(batch.signatures) == 1
        return job_id if whole or not job_id else f"{job_id}_{index}"

    def cancel(self, journal: Journal, cells: Iterable[CellStatus]) -> None:
        """By ``scancel``; of packed jobs, whose workers see the marks, when no cell needs them."""
        ids, packed = [], {}
        for cell in cells:
            if cell.batch and cell.batch.pack:
                packed[cell.batch.id] = cell.batch
            elif cell.job_id:
                ids.append(cell.job_id)
        for batch in packed.values():
            job_id = journal.job_id(batch.id)
            if job_id and not any(map(_needs_a_job, _runs_of_jobs(journal, batch))):
                ids.append(job_id)
        queries.scancel(list(dict.fromkeys(ids)))

    def take_back(self, cells: Iterable[CellStatus]) -> None:
        """By ``scancel`` of what has not begun."""
        queries.scancel(_job_ids(cells), only_pending=True)

    def hold(self, cells: Sequence[CellStatus], *, release: bool) -> None:
        """By ``scontrol hold`` and ``release``; packed cells all together."""
        batches = {cell.batch.id: cell.batch for cell in cells if cell.batch and cell.batch.pack}
        for batch in batches.values():
            asked = sum(cell.batch is not None and cell.batch.id == batch.id for cell in cells)
            if asked < len(batch.signatures):
                raise UserError(
                    f"{asked} of {len(batch.signatures)} cells of the packed jobs "
                    f"{cells[0].job_id}: they can be held and released only all together, while "
                    "all of them are queued; tevit cancel takes single ones back"
                )
        queries.hold_jobs(_job_ids(cells), release=release)

    def free(self, cells: Iterable[CellStatus]) -> None:
        """By ``scontrol release``."""
        queries.hold_jobs(_job_ids(cells), release=True)

    def log(self, journal: Journal, batch: Batch, index: int) -> Path | None:
        """What the job's script and its steps wrote."""
        job_id, where = self.job_id(journal, batch, index), batch.id
        if batch.pack:
            last = lease.latest(journal.store.run(batch.signatures[index]).state_folder)
            job_id = last.holder.get("job_id") if last else None
            where = (last.holder.get("worker") if last else None) or where
        return journal.submitit_folder(where) / f"{job_id}_0_log.out" if job_id else None


def _job_ids(cells: Iterable[CellStatus]) -> list[str]:
    """Of the jobs that run cells, or are to run them, each once."""
    return list(dict.fromkeys(cell.job_id for cell in cells if cell.job_id))


def _live(state: RunState, job: Job) -> CellStatus:
    if job.state in queries.QUEUED:
        if state.name == "running":
            return CellStatus(state, job.id, "requeued, but the former copy still works")
        return _pending(replace(state, name="queued"), job, job.id)
    if state.name == "running":
        return CellStatus(state, job.id)
    if not state.certain and job.state != "COMPLETING":
        note = "suspended" if job.state == "SUSPENDED" else "no sign of life"
        return CellStatus(replace(state, name="running", cause=None), job.id, note)
    note = "ending" if job.state == "COMPLETING" else "starting"
    return CellStatus(replace(state, name="queued"), job.id, note)


def _packed(run: RunFolder, state: RunState, job: Job) -> CellStatus | None:
    if state.name != "queued":
        return _live(state, job)
    if run.cancelled():  # no worker will take it
        return None
    if job.state not in queries.QUEUED:
        return CellStatus(state, job.array, "packed: waits for its turn")
    return _pending(state, job, job.array)


def _pending(state: RunState, job: Job, job_id: str) -> CellStatus:
    reason = "" if job.reason == "None" else job.reason  # it has only just been put in
    return CellStatus(
        state,
        job_id,
        reason,
        waits="" if queries.is_usual(reason) else reason,
        hopeless=queries.NEVER_STARTS.fullmatch(reason) is not None,
        stranded=queries.HELD_BY_SLURM.fullmatch(reason) is not None,
    )


def _runs_of_jobs(journal: Journal, batch: Batch) -> Iterator[RunFolder]:
    """The cells of a packed batch, and those of others that its jobs have taken."""
    yield from map(journal.store.run, batch.signatures)
    for cell in journal.store.manifest(batch.grid).all_cells:
        run = journal.store.run(cell.signature)
        last = lease.latest(run.state_folder)
        if last is not None and last.end is None and last.holder.get("worker") == batch.id:
            yield run


def _needs_a_job(run: RunFolder) -> bool:
    return not run.cancelled() and run.state(run.measure()).name in ("queued", "running")


def _on_this_cluster(batch: Batch) -> bool:
    """Whether the SLURM that answers here is the one that ``batch`` was given to."""
    there, here = batch.launcher.get("cluster"), queries.cluster_name()
    return there is None or here is None or there == here


def _site_limit(problems: list[str]) -> int:
    try:
        return queries.largest_array()
    except queries.SlurmError as error:
        problems.append(
            f"SLURM does not answer, so the site's limits are unknown: {error}. "
            "Without a cluster use --executor local"
        )
        return USUAL_ARRAY_LIMIT


@contextlib.contextmanager
def _submission() -> Iterator[None]:
    """Call submitit in the block; what SLURM says against it comes as one of our errors."""
    try:
        with outside_of_jobs():
            yield
    except (RuntimeError, OSError) as error:
        message = f"SLURM did not take the jobs: {str(error).strip()}"
        full = any(words in message.lower() for words in _NO_ROOM)
        raise (NoRoomError if full else SubmissionError)(message) from error


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
