"""Parts of models under the roofs of memory and products."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import cli
from core.errors import UserError
from reports.plots.recorded.roofline import roofline_plot


def record(name="tiny", precision="fp32", rate=5e10):
    part = {"multiply_adds": 2e9, "bytes": 4e8, "least_ms": 40.0, "memory_ms": 10.0, "ms": 50.0}
    still = {**part, "multiply_adds": 0.0, "ms": 25.0}
    return {
        "kind": "roofline", "name": name, "parts": {"mask_head": part, "rest": still},
        "figures": {**part, "ms": 75.0},
        "machine": {"matmul_rate": rate, "matmul_library": "oneDNN", "bandwidth": 1e10},
        "protocol": {"device": "CPU", "precision": precision},
        "environment": {"drift": ["other processes"]},
    }  # fmt: skip


def test_a_point_is_intensity_and_speed():
    plot = roofline_plot([record()], "roof")
    assert plot.data["part"].tolist() == ["mask head", "whole model"]  # the rest multiplies nothing
    row = plot.data.iloc[0]
    assert row["multiply-adds a byte"] == 5 and row["multiply-adds a second (G)"] == 40
    assert row["share of time"] == pytest.approx(2 / 3)
    assert plot.notes[0] == "Measured on CPU." and plot.notes[-1] == "Suspect: other processes."


def test_the_command_draws_it_with_its_labels(tmp_path):
    path = tmp_path / "roof.json"
    path.write_text(json.dumps({"records": [record(), record("half", "bf16", 1e11)]}))
    done = CliRunner().invoke(cli.app, ["plot", str(path), "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    drawn = (tmp_path / "roof_text.svg").read_text()
    for label in ("memory: 10 GB/s", "products, bf16: 100 G/s (oneDNN)", "mask head 67%"):
        assert label in drawn
    assert (tmp_path / "roof_column.pdf").exists()


def test_what_multiplies_nothing_is_refused():
    nothing = record()
    nothing["parts"] = {}
    nothing["figures"]["multiply_adds"] = 0.0
    with pytest.raises(UserError, match="roofline r: no part of it multiplies"):
        roofline_plot([nothing], "r")
