"""The runs of a grid as TensorBoard events, made from their records: no run is changed by it.

A cell is a TensorBoard run of its own, OUT/CELL: its metric history as curves, its measurements
at the last step, and axes and figures as hyperparameters, so that cells can be set side by side.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measurements import NAMES
from core.errors import UserError
from core.names import distinct
from launch.records import lease
from launch.records.run_folder import RunFolder
from launch.records.shapes import RecordFile
from launch.records.store import Manifest, ManifestCell, Store
from launch.watch.survey import survey

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_NOT_CURVES = ("step", "steps", "time", "attempt", "seconds_left")


def export_tensorboard(
    store: Store,
    manifest: Manifest,
    out: Path,
    *,
    follow: float | None = None,
) -> int:
    """Write the events of every cell; those that an earlier export wrote to ``out`` are replaced.

    Args:
        follow: go on until no cell is queued or running, looking every so many seconds.

    Returns:
        The number of cells that had something to show.

    Raises:
        UserError: TensorBoard is not installed.
    """
    try:
        importlib.import_module("torch.utils.tensorboard")
    except ImportError as error:
        raise UserError(
            f"events for TensorBoard need it installed ({error}): "
            "pip install 'tevit-ablations[tensorboard]'"
        ) from error
    folders = _folders(out, manifest.all_cells)
    cells = [_Events(store.run(c.signature), c, folders[c.name]) for c in manifest.all_cells]
    while True:
        over = follow is None or not _goes_on(store, manifest)
        for events in cells:
            events.update(last=over)
        if follow is None or over:
            return sum(bool(events.times) for events in cells)
        time.sleep(follow)


def _goes_on(store: Store, manifest: Manifest) -> bool:
    found = survey(store, manifest.measures())
    cells = [status for status in found.cells.values() if not status.stuck]
    return any(status.state.name in ("queued", "running") for status in cells)


def _folders(out: Path, cells: Sequence[ManifestCell]) -> dict[str, Path]:
    """One for each cell, though a folder's name has no slash."""
    names = {cell.name: cell.name.replace("/", "_") for cell in cells}
    ends = {cell.name: cell.signature[:8] for cell in cells}
    return {name: out / own for name, own in distinct(names, ends.__getitem__, "{}-{}").items()}


@dataclass
class _Events:
    """The events of one cell, as far as they are written.

    Attributes:
        times: step to when it was recorded; a resumed run does steps again.
    """

    run: RunFolder
    cell: ManifestCell
    folder: Path
    times: dict[int, float] = field(default_factory=dict)
    closed: bool = False
    _writer: SummaryWriter | None = None

    def update(self, *, last: bool) -> None:
        """Write what is new in the metric history, and all of it if the run is done or ``last``."""
        if self.closed:
            return
        done = self.run.is_done()
        lines = {line["step"]: line for line in self.run.history_lines()}
        again = [
            s for s, when in self.times.items() if (lines.get(s, {}).get("time") or 0.0) != when
        ]
        if again:
            self._reopen(min(again))
        for step in sorted(lines.keys() - self.times.keys()):
            when = float(lines[step].get("time") or 0.0)
            for name, value in _numbers(lines[step], "train"):
                self._open().add_scalar(name, value, step, walltime=when or None)
            self.times[step] = when
        if self.times and (done or last):
            self._close()
        elif self._writer is not None:
            self._writer.flush()

    def _open(self) -> SummaryWriter:
        if self._writer is None:
            for old in self.folder.glob("events.out.tfevents.*"):
                old.unlink()  # of an earlier export
            self._reopen(None)
        assert self._writer is not None
        return self._writer

    def _reopen(self, first: int | None) -> None:
        """Begin another file, which has TensorBoard forget the steps from ``first`` on."""
        from torch.utils.tensorboard import SummaryWriter

        if self._writer is not None:
            self._writer.close()
        self.times = {step: t for step, t in self.times.items() if first is None or step < first}
        self._writer = SummaryWriter(str(self.folder), purge_step=first)

    def _close(self) -> None:
        """Add what was measured, and the cell's place in the grid."""
        from torch.utils.tensorboard.summary import hparams

        writer, last = self._open(), max(self.times)
        figures: dict[str, float] = {}
        for kind in NAMES:
            record = lease.read_dict(self.run.result(kind), RecordFile) or {}
            figures |= dict(_numbers(record.get("figures") or {}, kind))
        for name, value in figures.items():
            writer.add_scalar(name, value, last)
        axes = {**self.cell.axes, "seed": self.cell.seed}
        for summary in hparams(axes, figures):
            writer._get_file_writer().add_summary(summary)
        writer.close()
        self.closed = True


def _numbers(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    """``prefix/name`` and value of all that is a number, of what lies deeper too."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}/{name}")
        elif isinstance(value, int | float) and name not in _NOT_CURVES:
            yield f"{prefix}/{name}", float(value)
