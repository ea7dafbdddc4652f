"""Figures that others published, to stand beside ours: never measured here, always marked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from benchmarks.figures import FIGURES
from core.config.overrides import unknown
from core.config.strict import Strict, fault_text, root_faults
from core.config.yaml_file import read_yaml
from core.errors import UserError

PUBLISHED = Path(__file__).with_name("published.yaml")


class PublishedError(UserError):
    """An entry that does not exist, or a file of entries with faults."""


class Published(Strict):
    """One published row; figures that are not known are simply not there."""

    id: str
    method: str
    backbone: str | None = None
    data: str
    selection: str = Field(
        default="selection of runs not stated", description="which of the runs, or their average"
    )
    device: str | None = Field(default=None, description="what FPS was measured on")
    source: Annotated[str, Field(min_length=1)]
    figures: dict[str, float] = Field(description="figure to value, in the printed unit")

    def differs(self, shown: Sequence[str]) -> str:
        """What sets these figures apart from ours, of which the caption speaks.

        Args:
            shown: figures that the table shows.
        """
        parts = [self.data, self.selection]
        if "fps" in self.figures and "fps" in shown:
            parts.append(f"FPS on {self.device or 'a device not stated'}, scope not stated")
        return f"published: {', '.join(parts)}."


def load_published(path: Path = PUBLISHED) -> dict[str, Published]:
    """Entry id to entry.

    Raises:
        PublishedError: naming file, entry and field at fault.
    """
    value = read_yaml(path)
    if not isinstance(value, dict):
        raise PublishedError(f"{path}: expected a mapping of entries")
    entries: dict[str, Published] = {}
    for name, fields in value.items():
        if not isinstance(fields, dict):
            raise PublishedError(f"{path}: entry {name}: expected fields and values")
        try:
            entry = Published.model_validate({"id": name, **fields})
        except ValidationError as error:
            faults = [_explain(fault) for fault in root_faults(error)]
            raise PublishedError(f"{path}: entry {name}: {'; '.join(faults)}") from error
        strange = [key for key in entry.figures if key not in FIGURES]
        if strange:
            raise PublishedError(
                f"{path}: entry {name}: unknown figure {strange[0]!r}; "
                f"valid figures: {', '.join(FIGURES)}"
            )
        entries[str(name)] = entry
    return entries


def _explain(fault: ErrorDetails) -> str:
    name = ".".join(map(str, fault["loc"]))
    return fault_text(fault, unknown("field", name, Published.model_fields), name)


def choose(ids: Sequence[str], entries: Mapping[str, Published]) -> list[Published]:
    """The entries of these ids, in their order.

    Raises:
        PublishedError: an id that does not exist; lists those that do.
    """
    for name in ids:
        if name not in entries:
            close = difflib.get_close_matches(name, entries, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise PublishedError(
                f"published: unknown entry {name!r}{hint}; valid entries: {', '.join(entries)}"
            )
    return [entries[name] for name in ids]
