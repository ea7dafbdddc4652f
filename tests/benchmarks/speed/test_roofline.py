"""What bounds each part: the longer of products and memory, operator by operator."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console

from benchmarks.flops.traffic import Operator
from benchmarks.roofline_table import bound_by, roofline_tables
from benchmarks.speed import roofline
from benchmarks.speed.bandwidth import bandwidth
from benchmarks.speed.matmul_rate import MatmulRate
from benchmarks.speed.roofline import bounds, measure_rooflines
from benchmarks.speed.timing import Sampling
from benchmarks.workloads.tevit import tevit_workload
from benchmarks.workloads.workload import ClipShape
from core import preset
from core.config.overrides import override

CPU = torch.device("cpu")


def test_the_least_time_is_of_each_operator_what_takes_it_longer():
    ran = [
        Operator("a", "mm", 4000, 100),
        Operator("a", "relu", 0, 300),
        Operator("b", "x", 10, 50),
    ]
    machine = {"matmul_rate": 1000.0, "bandwidth": 100.0}
    assert bounds(ran, 2, machine) == {
        "multiply_adds": 4010 / 2, "bytes": 450 / 2,
        "least_ms": 1e3 * (4 + 3 + 0.5) / 2, "memory_ms": 1e3 * (3 + 0.5) / 2,
    }  # fmt: skip
    assert bounds([], 2, machine)["least_ms"] == 0


def test_what_is_said_of_it():
    assert bound_by(0.71) == "memory 71%" and bound_by(0.4) == "products 60%"


def test_bandwidth_counts_what_is_read_and_written(monkeypatch):
    times = {"copy": [4.0, 1.0, 2.0], "triad": [3.0]}
    monkeypatch.setattr("benchmarks.speed.bandwidth.interleaved", lambda c, s, d: times)
    found = bandwidth(CPU, array_bytes=4000)
    assert found == {"copy": pytest.approx(8000 / 2e-3), "triad": pytest.approx(12000 / 3e-3)}


def test_bandwidth_is_measured():
    found = bandwidth(CPU, seconds=0.01, array_bytes=2**20)
    assert list(found) == ["copy", "triad"] and all(1e6 < rate < 1e14 for rate in found.values())


@pytest.fixture
def records(monkeypatch):
    monkeypatch.setattr(roofline, "matmul_rate", lambda *_: MatmulRate({"oneDNN": 1e9}, 64))
    monkeypatch.setattr(roofline, "bandwidth", lambda _: {"copy": 1e9, "triad": 2e9})
    state = roofline.machine_state
    monkeypatch.setattr(roofline, "machine_state", lambda device: state(device, seconds=0.01))
    config = preset("tiny", {"head.stages": 1})
    shape = ClipShape(2, 32, 64)
    mixed = override(config, {"inference.precision": "bf16"})
    both = [tevit_workload(of, shape, CPU, name=name) for of, name in ((config, "a"), (mixed, "b"))]
    return measure_rooflines(both, CPU, Sampling(1, 3, 0.0))


def test_parts_add_up_to_the_whole(records):
    for record, other in zip(records, ("b", "a"), strict=True):
        whole, parts = record["figures"], record["parts"]
        assert list(parts) == ["backbone", "neck", "box_head", "mask_head", "rest"]
        for key in ("multiply_adds", "bytes", "least_ms", "memory_ms"):
            for rows in (parts, record["by_operator"]):
                assert sum(row[key] for row in rows.values()) == pytest.approx(whole[key])
        assert len(whole["samples_ms"]) == len(parts["neck"]["samples_ms"]) == 3
        for k, sample in enumerate(whole["samples_ms"]):
            timed = sum(part["samples_ms"][k] for part in parts.values())
            assert 0.5 * sample < timed <= sample
        assert all(part["ms"] > 0 for part in parts.values())
        assert record["machine"]["bandwidth"] == 2e9
        assert record["protocol"]["interleaved_with"] == [other]
        assert record["protocol"]["matmul_libraries"]


def test_the_table_fits_a_terminal_and_names_the_roofs(records):
    out = io.StringIO()
    Console(file=out, width=80).print(roofline_tables(records))
    shown = out.getvalue()
    assert "\na, fp32" in shown and "\nb, bf16" in shown
    assert "…" not in shown and shown.count("whole model") == shown.count("mask head") == 2
    assert "matmul rate: 1 G a second by oneDNN" in shown
    assert "memory: 2 GB a second (triad)" in shown and "fewer than 0.5" in shown
