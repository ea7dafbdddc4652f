"""Made-up records of the shape that measurements have."""


def _protocol(spec):
    shape = spec.shape
    return {
        "device": "CPU", "device_type": "cpu", "width": shape.width, "height": shape.height,
        "clip_length": shape.clip_length, "batch": shape.batch, "precision": "fp32",
        "video_width": shape.video_width, "video_height": shape.video_height,
    }  # fmt: skip


def flops(spec):
    return {
        "kind": "flops", "name": spec.name, "protocol": _protocol(spec),
        "figures": {"parameters": 1, "total": 2}, "by_module": {"backbone": 2},
        "by_counter": {"fvcore": 2, "torch": 2},
    }  # fmt: skip


def fps(spec):
    scope = {"fps": 10.0, "low": 9.0, "high": 11.0, "median_ms": 1.0, "p99_ms": 2.0, "n": 20}
    return {
        "kind": "fps", "name": spec.name, "protocol": _protocol(spec), "parameters": 1,
        "figures": {"fps_model": 10.0, "matmul_share": 0.5}, "scopes": {"model": scope},
        "achieved": {"multiply_adds": 1e9}, "memory": {"host_peak": 2**20}, "ratios": {},
        "environment": {"drift": []},
    }  # fmt: skip


def memory(spec):
    return {"scope": "model", "host_peak": 2**20}
