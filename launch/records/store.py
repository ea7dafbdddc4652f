"""The store: run folders, shared by the grids whose manifests name them.

    <root>/runs/<signature>/     one run (launch.records.run_folder)
    <root>/grids/<name>.json     which cells a grid consists of
    <root>/launch/               the launcher's journal of what it submitted
    <root>/code/<hash>/          the code that jobs run, as it stood when they were launched

The root is ``$TEVIT_RUNS``, or ``runs`` in the current folder.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
from pydantic_core import to_jsonable_python

from ablations.analysis.limits import Limits
from core.errors import UserError
from core.files import write_json
from launch.records.run_folder import RunFolder, RunState, StateName
from launch.records.shapes import Signature, Text, read_whole

__all__ = ["Manifest", "ManifestCell", "RunFolder", "RunState", "StateName", "Store"]

MANIFEST_SCHEMA = 1
_WHOLE = pydantic.ConfigDict(extra="forbid")


@pydantic.dataclasses.dataclass(frozen=True, config=_WHOLE)
class ManifestCell:
    """A cell of a grid and the signature of the run that computes it."""

    name: Text
    signature: Signature
    seed: pydantic.StrictInt
    axes: Mapping[Text, Text]
    measure: tuple[str, ...] = ()


@pydantic.dataclasses.dataclass(frozen=True, config=_WHOLE)
class Manifest:
    """Which cells a grid consists of, as it was launched.

    Attributes:
        grid: its name.
        created: ISO time.
        axes: axis to the labels of its values, in order.
        measure: what each cell measures, of "ap", "flops", "fps".
        table: how the grid wants to be shown (see ablations), or None.
        scale: "tiny" or None.
        starts: runs that cells start from and that are no cells themselves.
        limits: of the seeds, where these are added round by round (see ablations), or None.
    """

    grid: Text
    created: str
    description: Text
    axes: Mapping[Text, list[Text]]
    measure: tuple[str, ...]
    table: Mapping[str, Any] | None
    cells: tuple[ManifestCell, ...]
    scale: str | None = None
    limits: Limits | None = None
    starts: tuple[ManifestCell, ...] = ()
    schema: int = MANIFEST_SCHEMA

    @property
    def all_cells(self) -> tuple[ManifestCell, ...]:
        """Start runs, then cells."""
        return (*self.starts, *self.cells)

    def measures(self) -> dict[str, tuple[str, ...]]:
        """Signature to what is to be measured, as :func:`launch.watch.survey.survey` wants it."""
        measures: dict[str, set[str]] = {}
        for cell in self.all_cells:
            measures.setdefault(cell.signature, set()).update(cell.measure or self.measure)
        return {signature: tuple(sorted(kinds)) for signature, kinds in measures.items()}

    def chosen(self, names: Collection[str] | None) -> list[ManifestCell]:
        """The cells of these names or signatures; none: all, and the runs that they start from.

        Raises:
            UserError: as of :meth:`cell`.
        """
        return [self.cell(name) for name in names] if names else list(self.all_cells)

    def cell(self, name: str) -> ManifestCell:
        """The cell of this name, signature, or unambiguous beginning of a signature.

        Raises:
            UserError: no or several such cells; lists the names.
        """
        known = self.all_cells
        exact = [c for c in known if name in (c.name, c.signature)]
        found = exact or [c for c in known if len(name) >= 4 and c.signature.startswith(name)]
        if len({c.signature for c in found}) == 1:
            return found[0]
        names = ", ".join(c.name for c in self.cells[:50])
        more = f", and {len(self.cells) - 50} more" if len(self.cells) > 50 else ""
        raise UserError(f"grid {self.grid} has no cell {name!r}; its cells: {names}{more}")


@dataclass(frozen=True)
class Store:
    """A folder of runs and of the grids that share them."""

    root: Path

    @classmethod
    def default(cls, root: Path | None = None) -> Store:
        """The store at ``root``, or where ``$TEVIT_RUNS`` says, or ``./runs``."""
        return cls(Path(root or os.environ.get("TEVIT_RUNS") or "runs").absolute())

    @property
    def runs(self) -> Path:
        """Folder of the run folders."""
        return self.root / "runs"

    @property
    def grids(self) -> Path:
        """Folder of the manifests."""
        return self.root / "grids"

    @property
    def journal(self) -> Path:
        """Folder of the launcher's own records."""
        return self.root / "launch"

    @property
    def code(self) -> Path:
        """Folder of the frozen copies of the code that runs were made by."""
        return self.root / "code"

    @property
    def job_comment(self) -> str:
        """What jobs of the store carry as their comment."""
        return f"tevit:{self.root}"

    def run(self, signature: str) -> RunFolder:
        """The run folder of ``signature``, which need not exist."""
        return RunFolder(self.runs / signature)

    def existing(self) -> set[str]:
        """Signatures that have a run folder."""
        try:
            return set(os.listdir(self.runs))  # noqa: PTH208
        except FileNotFoundError:
            return set()

    def find_run(self, name: str) -> RunFolder:
        """The run of a signature, the beginning of one, or a path to a run folder.

        Raises:
            UserError: no or several such runs.
        """
        path = Path(name).absolute()
        if (path / "config.json").is_file():
            return RunFolder(path)
        found = sorted(s for s in self.existing() if s.startswith(name)) if name else []
        if len(found) == 1:
            return self.run(found[0])
        if found:
            raise UserError(f"{name}: several runs begin so: {', '.join(found[:10])}")
        raise UserError(f"{name}: no such run in {self.runs}, nor a run folder")

    def manifest(self, name: str) -> Manifest:
        """The manifest of grid ``name``.

        Raises:
            UserError: never launched (lists those that were), or damaged.
        """
        path = self.grids / f"{name}.json"
        if not path.exists():
            known = ", ".join(self.grid_names()) or "none"
            raise UserError(
                f"grid {name!r} has not been launched in {self.root}; launched grids: {known}"
            )
        return read_whole(path, Manifest, "a grid's manifest")

    def grid_names(self) -> list[str]:
        """Names of the grids that were launched, sorted."""
        return sorted(path.stem for path in self.grids.glob("*.json") if path.name[0] != ".")

    def left_out(self, name: str, signatures: Collection[str]) -> list[ManifestCell]:
        """Cells that grid ``name`` had when it was launched before, if it was, and has no more."""
        if name not in self.grid_names():
            return []
        return [cell for cell in self.manifest(name).cells if cell.signature not in signatures]

    def write_manifest(self, manifest: Manifest) -> None:
        """Record which cells a grid consists of.

        A former manifest of cells that the grid no longer has is kept, in the folder ``former``.
        """
        if self.left_out(manifest.grid, {cell.signature for cell in manifest.cells}):
            former = self.manifest(manifest.grid)
            kept = self.grids / "former" / f"{former.grid}-{former.created.replace(':', '')}.json"
            write_json(kept, to_jsonable_python(former))
        write_json(self.grids / f"{manifest.grid}.json", to_jsonable_python(manifest))
