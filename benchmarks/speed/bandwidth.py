"""How fast this machine moves memory: beside the matrix-product rate, the other roof."""

from __future__ import annotations

import statistics

import torch

from benchmarks.speed.timing import Call, Sampling, interleaved

ARRAY_BYTES = {"cpu": 2**28, "cuda": 2**30}
"""Of one array: several times what any cache holds."""


@torch.inference_mode()
def bandwidth(
    device: torch.device, *, seconds: float = 1.0, array_bytes: int | None = None
) -> dict[str, float]:
    """Bytes a second of a copy (``b = a``) and a triad (``a = b + s c``) of arrays of float32.

    As STREAM counts them: each array that is read and each that is written, once.

    Args:
        seconds: time to spend, about.
        array_bytes: of one array; none: :data:`ARRAY_BYTES`.
    """
    elements = (array_bytes or ARRAY_BYTES[device.type]) // 4
    a, b, c = (torch.ones(elements, device=device) for _ in range(3))
    calls: dict[str, Call] = {
        "copy": lambda: b.copy_(a),
        "triad": lambda: torch.add(b, c, alpha=0.5, out=a),
    }
    arrays = {"copy": 2, "triad": 3}
    sampling = Sampling(warmup=2, min_samples=5, min_seconds=seconds)
    samples = interleaved(calls, sampling, device)
    return {
        name: arrays[name] * 4 * elements / (statistics.median(ms) / 1e3)
        for name, ms in samples.items()
    }
