"""FLOPs records: multiply-adds a frame of a model, by module, with their protocol."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.flops.counters import FlopCount, count
from benchmarks.machine.environment import environment
from benchmarks.records import record_head
from benchmarks.subjects.tevit import tevit_subject
from benchmarks.subjects.workload import ClipShape, Subject, clip_shape
from core.config.schema import Config

COUNTED = "matrix products, convolutions, attention, interpolation (RoIAlign, grid_sample)"
NOT_COUNTED = "biases, norms, activations, softmax, residuals, poolings, box arithmetic, pasting"
# what a subject says of itself that changes the count; weights and precision do not
COSTLY_FACTS = ("queries", "top_k", "counted_with")


def flops_record(
    config: Config,
    *,
    name: str,
    shape: ClipShape | None = None,
    device: torch.device | None = None,
) -> dict[str, Any]:
    """Count the forward pass of ``config``'s model, from frames to masks inside boxes.

    Args:
        name: what tables call it.
        shape: of the input; none: the config's own (``clip_shape``).
        device: where the model runs while it is counted; none: the CPU.

    Returns:
        The record of kind ``flops``: JSON types; every figure is a frame's, ``clip_total`` a
        call's.

    Raises:
        FlopCountError: an operator is not counted, or the two counters disagree.
    """
    shape = shape or clip_shape(config)
    return subject_record(tevit_subject(config, shape, device or torch.device("cpu"), name=name))


def count_subject(subject: Subject) -> FlopCount:
    """Multiply-adds of one call of the model alone."""
    return count(subject.traceable, (subject.frames,), subject.parts)


def subject_record(subject: Subject) -> dict[str, Any]:
    """As :func:`flops_record`, for any subject (a peer's model, too)."""
    counted = count_subject(subject)
    parameters, trainable = subject.parameters()
    shape = subject.shape
    return {
        **record_head("flops", subject.name),
        "protocol": {
            "unit": "multiply-adds",
            "per": "frame",
            "scope": "model",
            "height": shape.height,
            "width": shape.width,
            "clip_length": shape.clip_length,
            "batch": shape.batch,
            "counters": list(counted.counters),
            "counted": COUNTED,
            "not_counted": NOT_COUNTED,
            **{fact: subject.facts[fact] for fact in COSTLY_FACTS if fact in subject.facts},
        },
        "figures": {
            "total": round(counted.total / shape.frames),
            "parameters": parameters,
            "trainable": trainable,
            "elementwise": round(counted.elementwise / shape.frames),
            "clip_total": counted.total,
        },
        "by_module": {k: round(v / shape.frames) for k, v in counted.by_part.items()},
        "by_operator": {k: round(v / shape.frames) for k, v in counted.by_operator.items()},
        "by_counter": {k: round(v / shape.frames) for k, v in counted.counters.items()},
        "environment": environment(with_diff=False),
    }
