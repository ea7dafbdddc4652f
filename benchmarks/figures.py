"""The figures that a table or a plot can show: where they come from, their unit, their precision.

The word FLOPs means two things in the literature; here ``macs`` are multiply-adds, as measured,
and ``flops`` are twice that.  The records hold fractions, counts and bytes; the scale turns them
into what is printed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Better = Literal["high", "low"]


@dataclass(frozen=True)
class Figure:
    """A printed figure, derived from one column of the collected frame.

    Attributes:
        key: its name in a table specification.
        column: the collected column that it is made of.
        label: head of its column, with the unit.
        scale: printed value = collected value x scale.
        decimals: digits after the point.
        better: which end is the better one; none: neither, nothing is bold.
        exact: the same for every seed (a count), so that one run is enough.
        spread: whether its standard deviation over seeds is printed.
        inverse: the printed value is scale / collected value (a latency from a rate).
        about: what the figure is, for the notes below a table.
    """

    key: str
    column: str
    label: str
    scale: float = 1.0
    decimals: int = 1
    better: Better | None = None
    exact: bool = False
    spread: bool = True
    inverse: bool = False
    about: str = ""

    @property
    def kind(self) -> str:
        """The record that it comes from: ap, flops or fps; otherwise the column's section."""
        return self.column.partition(".")[0]

    def printed(self, collected: float) -> float:
        """The collected value in the printed unit; a rate of zero is an infinite time."""
        if self.inverse:
            return self.scale / collected if collected else math.inf
        return collected * self.scale


def _shares(kind: str, keys: Sequence[str]) -> Iterator[Figure]:
    for key in keys:
        yield Figure(key, f"{kind}.{key}", key, scale=100, decimals=1, better="high")


def _lost(kind: str, label: str, about: str) -> Figure:
    about = f"AP lost to {about}"
    return Figure(f"lost_{kind}", f"errors.{kind}", label, 100, 1, better="low", about=about)


def _box_ap(key: str) -> Figure:
    about = "boxes of images, by pycocotools"
    label = key.replace("AP", "AP box ")
    return Figure(f"box_{key}", f"ap.box_{key}", label.strip(), 100, 1, better="high", about=about)


def _speeds(key: str, label: str, *, scale: float = 1.0, inverse: bool = False) -> Iterator[Figure]:
    for scope, (ending, said, about) in _SCOPES.items():
        name, column = f"{key}{ending}", f"fps.fps_{scope}"
        yield Figure(name, column, f"{label}{said}", scale, inverse=inverse, about=about)


_SCOPES = {
    "model": ("_model", " (model)", "the model alone"),
    "postprocess": ("", "", "model and post-processing to masks of the video's size"),
    "end_to_end": ("_end_to_end", " (end to end)", "from image files to encoded results"),
}
"""Scope to how the keys and the labels of its figures end, and what they are of."""

_ALL = (
    *_shares("ap", ["AP", "AP50", "AP75", "APs", "APm", "APl"]),
    *_shares("ap", ["AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]),
    *map(_box_ap, ["AP", "AP50", "AP75"]),
    Figure(
        "AP_videos",
        "ap.bootstrap.AP.std",
        "AP std (videos)",
        scale=100,
        spread=False,
        about="standard deviation of AP under resampling of the videos, mean over seeds: what a "
        "test set of this size leaves open, apart from the spread of the seeds",
    ),
    *_shares("tracking", ["HOTA", "DetA", "AssA", "LocA", "IDF1"]),
    Figure("IDSW", "tracking.IDSW", "ID switches", decimals=0, better="low"),
    _lost("class", "class", "tracks of the wrong class"),
    _lost("mask", "mask", "wrong masks of tracks in place"),
    _lost("identity", "identity", "tracks that jump, and instances in parts"),
    _lost("frames", "frames", "missing frames, and frames too many"),
    _lost("duplicate", "duplicate", "duplicates"),
    _lost("background", "backgr.", "tracks of nothing"),
    _lost("both", "both", "tracks of the wrong class that are out of place, too"),
    _lost("missed", "missed", "instances without a track"),
    Figure("params", "flops.parameters", "Params (M)", 1e-6, 2, exact=True),
    Figure("trainable", "flops.trainable", "Trainable (M)", 1e-6, 2, exact=True),
    Figure("macs", "flops.total", "MAdds (G)", 1e-9, 2, exact=True),
    Figure(
        "flops", "flops.total", "FLOPs (G)", 2e-9, 2, exact=True, about="twice the multiply-adds"
    ),
    *_speeds("fps", "FPS"),
    *_speeds("latency", "ms/frame", scale=1000, inverse=True),
    Figure("memory", "fps.memory.allocated", "Memory (MiB)", 2**-20, 0, about="peak allocated"),
    Figure("memory_host", "fps.memory.host_peak", "Host memory (MiB)", 2**-20, 0),
    Figure(
        "joules",
        "fps.energy.joules_per_frame",
        "J/frame",
        1.0,
        2,
        about="energy of the device by its own counter, model and post-processing",
    ),
    Figure("matmul_share", "fps.matmul_share", "Matmul rate (%)", 100, 1),
    Figure("train_fps", "train_speed.fps", "Train FPS", 1.0, 1, about="frames of training steps"),
    Figure("step_ms", "train_speed.step_ms", "Step (ms)", 1.0, 0, about="of training"),
    Figure(
        "train_memory",
        "train_speed.memory.allocated",
        "Train memory (MiB)",
        2**-20,
        0,
        about="peak allocated in a training step",
    ),
    Figure("hours", "run.wall_s", "Run (h)", 1 / 3600, 2),
)

FIGURES: dict[str, Figure] = {figure.key: figure for figure in _ALL}
"""Every figure with a name of its own; any other collected column can be shown by its name."""

COUNTS = ("macs", "flops")
"""Figures that say nothing of speed and so never stand without one of :data:`SPEEDS`."""

SPEEDS = tuple(key for key, figure in FIGURES.items() if figure.column.startswith("fps.fps_"))

GROUPS = {
    "tracking": ("HOTA", "DetA", "AssA", "LocA", "IDF1", "IDSW"),
    "lost": tuple(key for key in FIGURES if key.startswith("lost_")),
}
"""Columns of a table that one name stands for."""

ABOVE = dict.fromkeys(GROUPS["lost"], "AP lost to")
"""What is printed above the head of a figure's column."""

_PARTS = {
    "errors.slices.": "",
    "errors.bootstrap.slices.": "",
    "ap.per_class.": "AP ",
    "ap.per_class_AR100.": "AR100 ",
}
"""Columns of AP and AR of parts of the data, and how their labels begin."""


def figure_of(name: str) -> Figure:
    """The figure of this name; else that of the collected column, in percent if it is known to be
    a share: of a slice (``errors.slices.length.AP_short``) or of a class."""
    if name in FIGURES:
        return FIGURES[name]
    for prefix, of in _PARTS.items():
        if name.startswith(prefix):
            part = name.removeprefix(prefix)
            label = of + part if of else part.partition(".")[2].translate(str.maketrans("_.", "  "))
            drawn = "bootstrap" in prefix
            return Figure(name, name, label, 100, 1, None if drawn else "high", spread=not drawn)
    return Figure(name, name, name, decimals=2)
