"""Code that is edited while jobs wait on the real SLURM."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from checkouts import PROBE_CELL, copy_of_project, edit, editable_install, go, values
from test_real_slurm import Study

from launch.code.snapshot import freeze

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("real_slurm")]


def test_code_edited_while_jobs_wait_does_not_run(store, tmp_path, real_slurm, monkeypatch):
    checkout = copy_of_project(tmp_path / "checkout")
    edit(checkout, 1)
    editable_install(tmp_path / "libraries", checkout)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'libraries'}{os.pathsep}{checkout}")
    monkeypatch.chdir(checkout)
    grid = Study(store, 2, extra={"hold": True}, setup=[f"export PYTHONPATH={checkout}"])
    grid.target = replace(grid.target, function=PROBE_CELL, code=freeze(store, checkout))
    ((_, job),) = grid.launch().batches
    edit(checkout, 2)
    (checkout / "core/files.py").write_text("raise ImportError('half-edited')\n")
    go(store)
    real_slurm.command("scontrol", "release", job)
    grid.wait(["done"] * 2)
    assert values(store, grid.grid) == [1, 1]
    assert grid.run().attempts()[0].holder["code"] == grid.target.code
