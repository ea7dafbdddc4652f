"""Every measurement that a cell of a grid can ask for, one entry each.

The grid file's ``measure:``, the cell's job and the reports read this list, so a new measurement
is a file with an entry and its line in the list.  The entries import what they run only when they
run: reading the list costs nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from benchmarks.measurement import Inputs, MakeRecord, Measurement

_RESAMPLES = 1000
BOOTSTRAP_SEED = 0
"""The same for all cells: two that met the same draws of videos can be compared in pairs."""


def _ap(inputs: Inputs) -> dict[str, Any]:
    from benchmarks.ap.evaluate import evaluate
    from benchmarks.ap.score import score

    result = None
    if inputs.wanted & {"tracking", "errors"} and not inputs.heldout.of_images:
        # a diagnosis that fails costs no AP; why it failed is told where its own record is made
        with contextlib.suppress(Exception):
            result = inputs.findings.ap
    result = result or evaluate(inputs.heldout, inputs.predictions)
    return score(result, inputs.scored, resamples=_RESAMPLES, seed=BOOTSTRAP_SEED).record


def _tracking(inputs: Inputs) -> dict[str, Any]:
    from benchmarks.diagnosis.record import tracking_record

    return tracking_record(inputs.findings, inputs.scored, inputs.name)


def _errors(inputs: Inputs) -> dict[str, Any]:
    from benchmarks.diagnosis.record import errors_record

    return errors_record(inputs.findings, inputs.scored, inputs.name)


def _flops(inputs: Inputs) -> dict[str, Any]:
    from benchmarks.flops.record import flops_record

    return flops_record(inputs.config, name=inputs.name)


def _fps(inputs: Inputs) -> dict[str, Any]:
    from benchmarks.speed.measure import speed_record

    trained = inputs.checkpoint if inputs.checkpoint.exists() else None
    return speed_record(inputs.config, kind="fps", name=inputs.name, checkpoint=trained)


def _train_speed(inputs: Inputs) -> dict[str, Any]:
    from benchmarks.speed.measure import speed_record

    return speed_record(inputs.config, kind="train", name=inputs.name)


_CLIP = ("inference.clip_length", "inference.mode", "data.clip_length", "data.synthetic.frames")
_SPLIT = ("data.holdout", "data.split_seed", "data.split_file", "data.root", "data.annotations")
_MODEL = {
    "mode": ("inference.mode",),
    "precision": ("inference.precision", "train.precision"),
    "top_k": ("inference.top_k",),
    "stride": ("inference.stride", "inference.mode"),
    "test_size": ("data.test_size",),
    "clip_length": _CLIP,
    "queries": ("head.queries",),
}
_INPUT = dict.fromkeys(
    ("height", "width", "video_height", "video_width"),
    ("data.test_size", "data.root", "data.synthetic.size"),
)
_INPUT_PHRASES = (
    ("input {}×{}", "height", "width"),
    ("T={}", "clip_length"),
    ("batch {}", "batch"),
)

_SCORED_PHRASES = (
    ("{}", "data"),
    ("{}", "split"),
    ("{}", "evaluator"),
    ("{} videos", "videos"),
    ("{} instances", "instances"),
    ("checkpoint: {}", "checkpoint"),
    ("{}", "mode"),
)
_SCORED = {
    **_MODEL,
    "data": ("data.root", "data.annotations"),
    "evaluator": ("data.root", "data.annotations"),
    "split": _SPLIT,
    "videos": (*_SPLIT, "data.synthetic.videos"),
    "instances": (*_SPLIT, "data.synthetic.videos", "data.synthetic.seed"),
    "checkpoint": ("train.steps", "inference.weights", "train.ema"),
}

_TRACKS = ("tracks from score {}", "min_score")


def _of_predictions(
    name: str, title: str, label: str, run: MakeRecord, *phrases: tuple[str, ...]
) -> Measurement:
    """One of what is predicted on the held-out videos, for grids that ask for it."""
    return Measurement(
        *(name, title, label, run),
        needs_predictions=True,
        on_request=True,
        phrases=(*_SCORED_PHRASES, *phrases),
        varied_by=_SCORED,
    )


MEASUREMENTS: dict[str, Measurement] = {
    measurement.name: measurement
    for measurement in (
        replace(_of_predictions("ap", "Average precision", "AP", _ap), on_request=False),
        _of_predictions("tracking", "Tracking", "Tracking", _tracking, _TRACKS),
        _of_predictions("errors", "AP lost to each kind of error", "Errors", _errors),
        Measurement(
            "flops",
            "Multiply-adds and parameters",
            "Counts",
            _flops,
            early=True,
            seedless=True,
            phrases=(("{} per {}", "unit", "per"), *_INPUT_PHRASES, ("counted by {}", "counters")),
            varied_by={**_MODEL, **_INPUT},
        ),
        Measurement(
            "fps",
            "Speed and memory",
            "Speed and memory",
            _fps,
            seedless=True,
            phrases=(
                ("{}", "device"),
                ("{}", "precision"),
                *_INPUT_PHRASES,
                ("masks at {}×{}", "video_height", "video_width"),
                ("median of at least {} calls and {} s", "min_samples", "min_seconds"),
            ),
            varied_by={**_MODEL, **_INPUT, "video_frames": _CLIP},
        ),
        Measurement(
            "train_speed",
            "Speed and memory of training",
            "Training speed",
            _train_speed,
            on_request=True,
            seedless=True,
            phrases=(
                ("{}", "device"),
                ("{}", "precision"),
                ("{} clips a step", "clips"),
                ("T={}", "clip_length"),
                ("median of at least {} steps and {} s", "min_samples", "min_seconds"),
            ),
            varied_by={
                "precision": ("train.precision",),
                "clips": ("train.clips",),
                "accumulate": ("train.accumulate",),
                "compiled": ("train.compile",),
                "checkpointing": ("train.checkpointing",),
                "clip_length": ("data.clip_length",),
                "sizes": ("data.train_sizes",),
                "data": ("data.root",),
            },
        ),
    )
}
"""By name, in the order in which reports show them."""

NAMES = tuple(MEASUREMENTS)


def is_seedless(kind: str) -> bool:
    """Whether records of this kind are the same whatever the seed; also of no measurement's."""
    return kind in MEASUREMENTS and MEASUREMENTS[kind].seedless
