"""One run's folder: the only truth about a cell, in plain files.

config.json            {"schema", "signature", "name", "config"}; "start", "trains": see start()
provenance/<n>.json    what attempt n ran on and with
history.jsonl          metric history          checkpoints/last.pt
predictions.json       split.json              results/ap.json, flops.json, fps.json
results/train.json     of a run that others start from: its training is over
results/fps.failed.json    why a measurement failed, until it is made
logs/<n>.log           output of attempt n
failure.json           of the latest attempt that failed
done.json              written last
spent.json             peak memory, over all attempts
state/<n>.json         attempt n: who runs it; its time of change is the heartbeat
state/<n>.end.json     how attempt n ended
state/queued.json      the batch that is to run the cell next
state/cancel.json      the user does not want the cell to run
state/measure.json     what is to be measured, for all grids that share the run
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from core.config.overrides import ConfigError, config_from_dict
from core.config.schema import Config
from core.errors import UserError
from core.files import read_json, read_json_lines, temporary_name, write_json
from launch.records import lease, shapes
from launch.records.process import is_gone

StateName = Literal["new", "queued", "running", "interrupted", "failed", "done"]

FATAL = ("error", "out of memory", "disk full")
"""Causes that would most likely strike again: a failure, not an interruption."""

DONE_BUT_FOR = "done but for "
"""Begins the cause of a run that has all its records but those of measurements that failed."""


@dataclass(frozen=True)
class RunState:
    """What has become of a run.

    Attributes:
        name: "new", "queued", "running", "interrupted" (ended unfinished, can resume), "failed"
            or "done".
        cause: of a failure or an interruption, such as "out of memory"; else None.
        attempt: number of the latest attempt; 0: none yet.
        holder: what the latest attempt said of itself: host, pid, job_id, batch, index, ...
        queued: the batch and index of the latest submission, where that has not begun.
        certain: False: the cause is a guess from silence, of which a scheduler may know more.
    """

    name: StateName
    cause: str | None = None
    attempt: int = 0
    holder: Mapping[str, Any] | None = None
    queued: Mapping[str, Any] | None = None
    certain: bool = True

    @property
    def submission(self) -> Mapping[str, Any] | None:
        """``batch`` and ``index`` of the submission that this state belongs to, if any.

        A damaged mark, which names no batch or no place in it, is none.
        """
        mark = self.queued if self.queued is not None else self.holder
        if not mark or not isinstance(mark.get("batch"), str) or not mark["batch"]:
            return None
        return mark if isinstance(mark.get("index", 0), int) else None


class _Place:
    """A file or folder of a run, by where it lies in the run's folder."""

    def __init__(self, *place: str) -> None:
        self.place = place

    def __get__(self, run: RunFolder, owner: type[RunFolder]) -> Path:
        return run.path.joinpath(*self.place)


@dataclass(frozen=True)
class RunFolder:
    """Paths and state of one run; reading never changes anything."""

    path: Path

    config_path = _Place("config.json")
    """The resolved config, with signature and schema version."""
    history = _Place("history.jsonl")
    """Metric history, one JSON object a line."""
    checkpoint = _Place("checkpoints", "last.pt")
    """The latest checkpoint."""
    predictions = _Place("predictions.json")
    """Results in YouTube-VIS format."""
    split = _Place("split.json")
    """Which videos train and which are held out."""
    results = _Place("results")
    """Folder of the measurements' records."""
    failure_path = _Place("failure.json")
    """Cause and traceback of the latest failure."""
    done_path = _Place("done.json")
    """Written last; a run that has it is complete."""
    spent = _Place("spent.json")
    """What the attempts took besides time (:mod:`launch.node.spent`)."""
    state_folder = _Place("state")
    """Claims, marks and wishes."""
    queued_path = _Place("state", "queued.json")
    """The submission that is to run the cell next, until an attempt takes it up."""

    @property
    def signature(self) -> str:
        """The folder's name."""
        return self.path.name

    def log(self, attempt: int) -> Path:
        """Output of an attempt."""
        return self.path / "logs" / f"{attempt}.log"

    def provenance(self, attempt: int) -> Path:
        """What an attempt ran on and with."""
        return self.path / "provenance" / f"{attempt}.json"

    def result(self, kind: str) -> Path:
        """The record of one measurement (:mod:`benchmarks.measurements`)."""
        return self.results / f"{kind}.json"

    def failed_result(self, kind: str) -> Path:
        """Why one measurement has no record: cause and traceback of its latest failure."""
        return self.results / f"{kind}.failed.json"

    def config(self) -> Config:
        """The resolved config.

        Raises:
            UserError: the file is missing, damaged or of another version of the project.
        """
        record = read_json(self.config_path)
        if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
            raise UserError(f"{self.config_path}: not a run's config")
        try:
            return config_from_dict(record["config"])
        except ConfigError as error:
            raise UserError(f"{self.config_path}: {error}") from error

    def history_lines(self) -> Iterator[dict[str, Any]]:
        """The metric history, one mapping a logged step; what is damaged of it is skipped."""
        for line in read_json_lines(self.history):
            if shapes.misfit(line, shapes.LineFile) is None:
                yield line

    def failure(self, cause: str | None = None) -> dict[str, Any] | None:
        """The latest failure's record, or None.

        Args:
            cause: of the run's state; where only measurements failed, theirs is the failure.
        """
        if cause is not None and cause.startswith(DONE_BUT_FOR):
            first = cause.removeprefix(DONE_BUT_FOR).split(", ")[0]
            return lease.read_dict(self.failed_result(first), shapes.FailureFile)
        return lease.read_dict(self.failure_path, shapes.FailureFile)

    def attempts(self) -> list[lease.Claim]:
        """Every attempt, the latest last."""
        return lease.claims(self.state_folder)

    def measure(self) -> tuple[str, ...]:
        """What is to be measured, for all grids that share the run."""
        added = lease.read_dict(self.state_folder / "measure.json", shapes.RunFile) or {}
        return tuple(sorted({*self._said.get("measure", ()), *added.get("measure", ())}))

    @property
    def _said(self) -> dict[str, Any]:
        """What the file of the config says; empty where it is missing or damaged."""
        return lease.read_dict(self.config_path, shapes.RunFile) or {}

    def is_done(self, measure: Iterable[str] = ()) -> bool:
        """Complete, with a record of each of ``measure``."""
        path = str(self.path)
        return os.path.exists(f"{path}/done.json") and all(  # noqa: PTH110
            os.path.exists(f"{path}/results/{kind}.json")  # noqa: PTH110
            for kind in measure
        )

    def state(self, measure: Iterable[str] = (), now: float | None = None) -> RunState:
        """What the folder alone says has become of the run.

        Whether a queued or silent job still exists only the scheduler knows
        (:mod:`launch.watch.survey`).

        Args:
            measure: the measurements that the caller needs; a run that is complete but for one
                of them is "interrupted".
            now: seconds since the epoch, to judge heartbeats by.
        """
        folder = f"{self.path}/state"
        try:
            names = os.listdir(folder)  # noqa: PTH208
        except FileNotFoundError:
            names = []
        numbers, ended = lease.parse_numbers(names)
        claim = None
        if numbers:
            claim = lease.read_claim(folder, numbers[-1], ended=numbers[-1] in ended)
        mark = lease.read_dict(f"{folder}/queued.json") if "queued.json" in names else None
        attempt = claim.number if claim else 0
        holder = claim.holder if claim else None
        if self.is_done(measure):
            return RunState("done", None, attempt, holder)
        if claim and claim.alive(now):
            return RunState("running", None, attempt, holder)
        if mark is not None and (holder is None or holder.get("batch") != mark.get("batch")):
            return _queued(mark, attempt, holder)
        if claim is None:
            return RunState("new")
        return self._ended(claim, measure)

    def unqueued(self, measure: Iterable[str] = ()) -> RunState:
        """The state as it was before the latest submission, which nobody is left to run."""
        claim = lease.latest(self.state_folder)
        return RunState("new") if claim is None else self._ended(claim, measure)

    def failed_measurements(self, measure: Iterable[str]) -> tuple[str, ...]:
        """Those of ``measure`` that were tried, failed and cost the run only their own figures."""
        return tuple(
            kind
            for kind in measure
            if self.failed_result(kind).exists() and not self.result(kind).exists()
        )

    def _ended(self, claim: lease.Claim, measure: Iterable[str]) -> RunState:
        end = claim.end
        if end is None:
            # silent without a word: killed, unless it managed to leave the cause
            failure = self.failure()
            if failure and failure.get("attempt") == claim.number:
                return RunState("failed", failure.get("cause"), claim.number, claim.holder)
            gone = "died" if is_gone(claim.holder) else "silent"
            return RunState("interrupted", gone, claim.number, claim.holder, certain=False)
        outcome, cause = end.get("outcome"), end.get("cause")
        if outcome == "requeued":
            return RunState("queued", cause, claim.number, claim.holder)
        if outcome == "done" and (failed := self.failed_measurements(measure)):
            cause = DONE_BUT_FOR + ", ".join(failed)
        name: StateName = "failed" if outcome == "failed" else "interrupted"
        return RunState(name, cause, claim.number, claim.holder)

    def start(self) -> RunFolder | None:
        """The run whose weights this one begins with, or tests; in the same store."""
        signature = self._said.get("start")
        return RunFolder(self.path.parent / signature) if signature else None

    def trains(self) -> bool:
        """False: it is enough to test the weights of :meth:`start`, whose training is the same."""
        return bool(self._said.get("trains", True))

    def begins_with(self) -> RunFolder | None:
        """The run whose weights its training begins with, whoever does that training.

        Raises:
            UserError: the run that trains in its place is not there, so it is not known.
        """
        start = self.start()
        if start is None or self.trains():
            return start
        start.config()
        return start.start()

    def trained(self) -> bool:
        """Whether the checkpoint is the last of its training."""
        after = (self.predictions, self.result("ap"), self.result("train"))
        return self.checkpoint.exists() and any(path.exists() for path in after)

    def blocked_by(self) -> RunFolder | None:
        """The run that has to be trained before this one can begin, if it is not."""
        start = self.start()
        if start is None or start.trained() or self.trained() or self.predictions.exists():
            return None
        return start

    @property
    def name(self) -> str:
        """The name of the cell that it was first made for."""
        return self._said.get("name") or self.signature

    def create(
        self,
        *,
        schema: int,
        name: str,
        config: Config,
        measure: Iterable[str],
        start: str | None = None,
        trains: bool = True,
    ) -> None:
        """Make the folder with its config, or add ``measure`` to what an existing one wants.

        Args:
            start: signature of the run that it starts from.
            trains: see :meth:`trains`.
        """
        if not self.config_path.exists():
            record: dict[str, Any] = {
                "schema": schema,
                "signature": self.signature,
                "name": name,
                "config": config.to_dict(),
                "measure": sorted(measure),
            }
            if start is not None:
                record |= {"start": start, "trains": trains}
            write_json(self.config_path, record)
            return
        if trains and not self.trains():  # it was to test another's weights, which may be gone
            known = read_json(self.config_path)
            known = {key: v for key, v in known.items() if key not in ("start", "trains")}
            begins = {} if start is None else {"start": start, "trains": True}
            write_json(self.config_path, known | begins)
        if not set(measure) <= set(self.measure()):
            wanted = sorted({*self.measure(), *measure})
            write_json(self.state_folder / "measure.json", {"measure": wanted}, indent=None)

    def mark_queued(self, batch: str, index: int) -> None:
        """Note that the ``index``-th task of ``batch`` is to run this cell next."""
        with contextlib.suppress(FileNotFoundError):
            (self.state_folder / "cancel.json").unlink()
        self.write_queued({"batch": batch, "index": index, "time": time.time()})

    def write_queued(self, mark: Mapping[str, Any]) -> None:
        """Write the mark of a submission; one with a ``cause`` came to nothing."""
        # not synced to the disk: the batch in the journal is, and thousands of marks take long
        self.state_folder.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(self.queued_path)
        temporary.write_text(json.dumps(dict(mark)) + "\n")
        temporary.replace(self.queued_path)

    def mark_held(self, *, held: bool) -> None:
        """Note whether the user has jobs of other batches leave a queued cell alone."""
        mark = lease.read_dict(self.queued_path)
        if mark is not None:
            self.write_queued({**mark, "held": held})

    def mark_cancelled(self) -> None:
        """Ask whoever runs or is about to run the cell to leave it."""
        write_json(self.state_folder / "cancel.json", {"time": time.time()}, indent=None)

    def cancelled(self) -> bool:
        """Whether the user wants the cell not to run."""
        return (self.state_folder / "cancel.json").exists()


def _queued(mark: Mapping[str, Any], attempt: int, holder: Mapping[str, Any] | None) -> RunState:
    """A submission that no attempt has taken up: waiting, or known to have come to nothing."""
    if "cause" in mark:
        cause = str(mark["cause"])
        return RunState("failed" if cause in FATAL else "interrupted", cause, attempt, holder, mark)
    return RunState("queued", None, attempt, holder, mark)


def timestamp() -> str:
    """Now, as ISO time in UTC: what records of a run are dated with."""
    return datetime.now(UTC).isoformat(timespec="seconds")
