"""FLOPs records: multiply-adds a frame of a model, by module, with their protocol."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.flops.counters import FlopCount, count, count_once
from benchmarks.machine.environment import environment
from benchmarks.records import record_head
from benchmarks.workloads.tevit import DetectTensors, tevit_workload
from benchmarks.workloads.workload import ClipShape, Workload, clip_shape
from core.config.schema import Config
from core.model.tevit import build_model

COUNTED = "matrix products, convolutions, attention, interpolation (RoIAlign, grid_sample)"
NOT_COUNTED = "biases, norms, activations, softmax, residuals, poolings, box arithmetic, pasting"
# what a workload says of itself that changes the count; weights and precision do not
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
    return workload_record(tevit_workload(config, shape, device or torch.device("cpu"), name=name))


def planned_costs(config: Config) -> tuple[int, int]:
    """Parameters, and multiply-adds a frame by one counter: in half a second at any size.

    A model of shapes without values is counted, whose record (:func:`flops_record`) has the same
    figures.

    Raises:
        FlopCountError: an operator is not counted.
    """
    shape = clip_shape(config)
    with torch.device("meta"):
        model = build_model(config)
        frames = torch.empty(shape.batch, shape.clip_length, 3, *shape.size)
        module = DetectTensors(model, [shape.frame_size] * shape.batch)
        total = count_once(module, (frames,))
    return sum(p.numel() for p in model.parameters()), round(total / shape.frames)


def count_workload(workload: Workload) -> FlopCount:
    """Multiply-adds of one call of the model alone."""
    return count(workload.traceable, (workload.frames,), workload.parts)


def workload_record(workload: Workload) -> dict[str, Any]:
    """As :func:`flops_record`, for any workload (an mmdet model, too)."""
    counted = count_workload(workload)
    parameters, trainable = workload.parameters()
    shape = workload.shape
    return {
        **record_head("flops", workload.name),
        "protocol": {
            "unit": "multiply-adds",
            "per": "frame",
            "scope": "model",
            **{key: getattr(shape, key) for key in ("height", "width", "clip_length", "batch")},
            "counters": list(counted.counters),
            "counted": COUNTED,
            "not_counted": NOT_COUNTED,
            **{fact: workload.facts[fact] for fact in COSTLY_FACTS if fact in workload.facts},
        },
        "figures": {
            "total": round(counted.total / shape.frames),
            "parameters": parameters,
            "trainable": trainable,
            "elementwise": round(counted.elementwise / shape.frames),
            "products": round(counted.products / shape.frames),
            "clip_total": counted.total,
        },
        "by_module": {k: round(v / shape.frames) for k, v in counted.by_part.items()},
        "by_operator": {k: round(v / shape.frames) for k, v in counted.by_operator.items()},
        "by_counter": {k: round(v / shape.frames) for k, v in counted.counters.items()},
        "environment": environment(with_diff=False),
    }
