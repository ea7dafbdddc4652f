"""A launched grid as it lies on disk, read once: what every table, plot and page is made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measurements import NAMES
from core.errors import UserError
from core.files import read_json
from launch.records.shapes import AttemptFile, DoneFile, FileShape, RecordFile, RunFile, misfit
from launch.records.store import Manifest, ManifestCell, RunFolder, Store
from reports.frame.starts import begins_with, blocked_by, followers_of_starts


@dataclass(frozen=True)
class CellRun:
    """One cell and seed of a grid, with all that its run folder says.

    Attributes:
        name: the cell's name in the manifest, its seed included.
        axes: axis to the label of this cell's value.
        state: new, queued, running, interrupted, failed, done; or blocked, by a start run that
            failed.
        cause: why it is in that state, where that is known.
        config: the resolved switches; none before the run folder exists.
        records: kind of measurement to its record, those that exist.
        faults: files of the run folder that could not be read, with the reason.
        start: signature of the run whose weights the training begins with; none: no such run.
        failure: the failure that the run is stopped by (cause, last_line, traceback, ...).
        provenance: one mapping an attempt, in their order.
        done: the mark of a finished run (time, wall_s, attempts).
        folder: the run folder.
    """

    name: str
    signature: str
    seed: int
    axes: Mapping[str, str]
    state: str
    cause: str | None
    config: Mapping[str, Any] | None
    records: Mapping[str, Mapping[str, Any]]
    faults: tuple[str, ...]
    start: str | None
    failure: Mapping[str, Any] | None
    provenance: tuple[Mapping[str, Any], ...]
    done: Mapping[str, Any] | None
    folder: RunFolder

    @property
    def cell(self) -> str:
        """The cell without its seed, such as ``messenger=on head=stqi``."""
        return " ".join(f"{axis}={label}" for axis, label in self.axes.items()) or "base"

    @property
    def videos(self) -> tuple[str, ...]:
        """What tells one set of videos from another; the split is the scored one's."""
        data = (self.config or {}).get("data")
        data = data if isinstance(data, Mapping) else {}
        names = ("root", "annotations", "images", "synthetic", "holdout", "split_seed")
        return tuple(str(data.get(name)) for name in (*names, "split_file"))

    @property
    def log(self) -> Path | None:
        """The output of the last attempt; none where there is none yet."""
        logs = sorted(self.folder.log(0).parent.glob("*.log"), key=_attempt)
        return logs[-1] if logs else None

    def history(self) -> list[Mapping[str, Any]]:
        """The metric history, one mapping a logged step."""
        return list(self.folder.history_lines())


@dataclass(frozen=True)
class StartRun:
    """A run whose last weights cells of a grid begin with: no cell, so nothing is compared with it.

    Attributes:
        run: what its folder says; without axes.
        followers: names of the runs that begin with it, seeds included.
    """

    run: CellRun
    followers: tuple[str, ...]

    @property
    def ap(self) -> float | None:
        """What it scored, in percent; none where that was not measured."""
        ap = (self.run.records.get("ap", {}).get("figures") or {}).get("AP")
        return None if ap is None else 100 * float(ap)


@dataclass(frozen=True)
class GridRuns:
    """A grid's manifest, its runs in the manifest's order, and the runs that they start from, in
    the order in which these are needed."""

    manifest: Manifest
    runs: tuple[CellRun, ...]
    starts: tuple[StartRun, ...]
    source: Path

    @property
    def name(self) -> str:
        """The grid's name."""
        return self.manifest.grid


def read_runs(store: Store, name: str) -> GridRuns:
    """Read every run folder of grid ``name``; nothing on disk is changed.

    Raises:
        UserError: the grid was never launched (lists those that were).
    """
    manifest = store.manifest(name)
    runs = tuple(
        _read_run(store, cell, cell.measure or manifest.measure) for cell in manifest.cells
    )
    followed = followers_of_starts([(run.name, run.folder) for run in runs])
    starts = tuple(_read_start(store, *pair) for pair in followed.items())
    return GridRuns(manifest, runs, starts, store.grids / f"{name}.json")


def _read_start(store: Store, signature: str, followers: list[str]) -> StartRun:
    folder = store.run(signature)
    config = (_read(folder.config_path, RunFile, []) or {}).get("config") or {}
    seed = config.get("seed")
    cell = ManifestCell(folder.name, signature, seed if isinstance(seed, int) else 0, {})
    return StartRun(_read_run(store, cell, folder.measure()), tuple(followers))


def _read_run(store: Store, cell: ManifestCell, measure: Sequence[str]) -> CellRun:
    faults: list[str] = []
    folder = store.run(cell.signature)
    state = folder.state(measure)
    config = _read(folder.config_path, RunFile, faults)
    records = {kind: _read(folder.result(kind), RecordFile, faults) for kind in NAMES}
    provenance = tuple(_provenance(folder, faults))
    done = _read(folder.done_path, DoneFile, faults)
    blocked = blocked_by(folder) if state.name in ("new", "queued", "interrupted") else None
    return CellRun(
        name=cell.name,
        signature=cell.signature,
        seed=cell.seed,
        axes=cell.axes,
        state="blocked" if blocked else state.name,
        cause=blocked or state.cause,
        config=config.get("config") if config else None,
        records={kind: record for kind, record in records.items() if record is not None},
        faults=tuple(faults),
        start=begins_with(folder),
        failure=folder.failure(state.cause) if state.name in ("failed", "interrupted") else None,
        provenance=provenance,
        done=done,
        folder=folder,
    )


def _provenance(folder: RunFolder, faults: list[str]) -> Iterator[Mapping[str, Any]]:
    for path in sorted(folder.provenance(0).parent.glob("*.json"), key=_attempt):
        record = _read(path, AttemptFile, faults)
        if record is not None:
            yield record


def _attempt(path: Path) -> int:
    return int(path.stem) if path.stem.isdigit() else 0


def _read(path: Path, shape: type[FileShape], faults: list[str]) -> dict[str, Any] | None:
    """A JSON object of a shape; None where there is no such file, or it is among the faults."""
    if not path.exists():
        return None
    try:
        value = read_json(path)
    except UserError as error:
        faults.append(str(error))
        return None
    if wrong := misfit(value, shape):
        faults.append(f"{path}: {wrong}")
        return None
    found: dict[str, Any] = value
    return found
