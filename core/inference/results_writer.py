"""Results on disk: a JSON array written entry by entry, which appears whole or not at all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from core.files import replacing

Result = dict[str, Any]
"""One track: ``video_id``, ``category_id``, ``score``, ``segmentations`` (RLE or null a frame); of
an image ``bboxes``, too: one [x, y, width, height] in pixels."""


@contextlib.contextmanager
def results_writer(path: Path) -> Iterator[Callable[[Iterable[Result]], None]]:
    """What appends tracks to the array; the file appears, whole, when the block ends well."""
    with replacing(path) as temporary, temporary.open("x", encoding="utf-8") as file:
        before = "["

        def write(entries: Iterable[Result]) -> None:
            nonlocal before
            for entry in entries:
                text = json.dumps(entry, allow_nan=False, separators=(",", ":"))
                file.write(f"{before}\n{text}")
                before = ","

        yield write
        file.write("\n]\n" if before == "," else "[\n]\n")
