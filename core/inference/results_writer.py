"""Results on disk: a JSON array written entry by entry, which appears whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from core.files import sync_folder, temporary_name

Result = dict[str, Any]
"""One track: ``video_id``, ``category_id``, ``score``, ``segmentations`` (RLE or null a frame); of
an image ``bboxes``, too: one [x, y, width, height] in pixels."""


class ResultsWriter:
    """Writes a JSON array entry by entry; the file appears, whole, when the block ends well."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.count = 0

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = temporary_name(self.path)
        self._file = self._temporary.open("x", encoding="utf-8")
        self._file.write("[")
        return self

    def write(self, entries: Iterable[Result]) -> None:
        """Append tracks."""
        for entry in entries:
            text = json.dumps(entry, allow_nan=False, separators=(",", ":"))
            self._file.write(f"{',' if self.count else ''}\n{text}")
            self.count += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._file.write("\n]\n")
                self._file.flush()
                os.fsync(self._file.fileno())
        if kind is not None:
            self._temporary.unlink(missing_ok=True)
            return
        self._temporary.replace(self.path)
        sync_folder(self.path.parent)
