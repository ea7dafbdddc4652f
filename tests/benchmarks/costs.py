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


def train(spec, step_ms=100.0, rate=1e9):
    config = spec.config["train"], spec.config["data"]
    samples = [step_ms * (1 + 0.001 * (k % 3)) for k in range(20)]
    parts = {part: {"median_ms": step_ms / 4} for part in ("data", "forward", "backward")}
    scope = {"fps": 60.0, "low": 59.0, "high": 61.0, "n": 20, "samples_ms": samples}
    return {
        "kind": "train_speed", "name": spec.name, "parameters": 1,
        "protocol": {
            "device": "CPU", "device_type": "cpu", "clips": config[0]["clips"],
            "clip_length": config[1]["clip_length"], "sizes": "96x64", "data": "synthetic",
            "precision": config[0]["precision"],
        },
        "figures": {"fps": 60.0, "step_ms": step_ms, "matmul_share": 0.5},
        "scopes": {"step": scope}, "parts": {**parts, "optimiser": {"median_ms": step_ms / 4}},
        "achieved": {
            "matmul_rate": rate, "matmul_rate_before": rate, "matmul_rate_after": rate,
        },
        "memory": {"host_peak": 2**20}, "ratios": {},
        "environment": {"drift": []},
    }  # fmt: skip
