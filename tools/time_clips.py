"""Frames a second that one loading process makes, as published and with each augmentation.

    python -m tools.time_clips [--data PATH] [--clips N]

makes clips of five frames at the published training sizes in turns, each switch on in every clip,
and prints medians of processor time and their ratios. Without --data: 1280x720 frames, generated.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from core.config.presets import preset
from core.config.schema import SyntheticConfig
from core.data.clips import ClipDataset
from core.data.synthetic.dataset import generate
from core.data.youtube_vis import load_folder

DRAWN: dict[str, Any] = {
    "data.augment.photometric": 1.0,
    "data.augment.crop": 1.0,
    "data.augment.jitter": [0.1, 2.0],
    "data.augment.copy_paste": 1.0,
}
SWITCHED: dict[str, dict[str, Any]] = {
    "as published": {},
    "data.clip_range=3": {"data.clip_range": 3},
    "data.augment.reverse=1": {"data.augment.reverse": 1.0, "data.clip_order": "sorted"},
    **{f"{name}={value}": {name: value} for name, value in DRAWN.items()},
    "data.pseudo_clips=all": {"data.pseudo_clips": "all"},
    "all data.augment": DRAWN,
}


def main() -> None:
    """Print a line a switch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder in YouTube-VIS format")
    parser.add_argument("--clips", type=int, default=12)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.data or Path(temporary) / "videos"
        if asked.data is None:
            generate(SyntheticConfig(videos=4, frames=10, size=(720, 1280)), folder)
        dataset = load_folder(folder)
        seconds: dict[str, list[float]] = {name: [] for name in SWITCHED}
        parts = {
            name: ClipDataset(dataset, preset("tevit_msgshift", switched).data, seed=0)
            for name, switched in SWITCHED.items()
        }
        for clip in range(asked.clips + 1):
            for name, part in parts.items():
                began = time.process_time()
                frames, _ = part[clip]
                if clip:  # the first one warms up
                    seconds[name].append((time.process_time() - began) / len(frames))
    plain = statistics.median(seconds["as published"])
    for name, times in seconds.items():
        each = statistics.median(times)
        print(f"{name:34s} {1 / each:6.1f} frames/s  {plain / each:5.2f}")


if __name__ == "__main__":
    main()
