"""Two users who launch the same grid in a store that they share, and one who may only read it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from toy_grids import toy_grid

from launch.records.store import Store

pytestmark = pytest.mark.slow
HERE = Path(__file__).parents[1]
FIRST, SECOND, READER = 54321, 54322, 54323

LAUNCH = """
from launch.commands import LaunchOptions, run_launch
from launch.executors.base import Target
from launch.executors.local import Local
from launch.executors.profile import make_profile
from launch.records.store import Store
from launch.submit.plan import LaunchRequest
from toy_grids import TOY, toy_grid
target = Target(Local(), make_profile({"gpus": 0}), 2, TOY)
well = run_launch(
    LaunchRequest(Store.default(), toy_grid(4), target), LaunchOptions(wait=True)
)
print("well", well)
"""


@pytest.fixture
def shared():
    """The root of a store for a group, which others may read."""
    # not among pytest's folders, which no other user can read
    with tempfile.TemporaryDirectory(prefix="tevit-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "store"
        root.mkdir()
        if os.getuid() == 0:
            os.chown(root, 0, FIRST)
        root.chmod(0o2775)
        yield root


def start(shared, user, group, *arguments):
    """A Python of another user; where only this one's may be had, one that says it is another."""
    prefix: list[str] = []
    if os.getuid() == 0 and shutil.which("setpriv"):
        # the interpreter may lie where only root can read; writing is what counts here
        may_read = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
        prefix = ["setpriv", "--reuid", str(user), "--regid", str(group), "--clear-groups"]
        prefix += may_read
    names = {"HOME": str(shared), "USER": f"u{user}", "LOGNAME": f"u{user}"}
    root = str(HERE.parents[1])
    paths = {"PYTHONPATH": f"{HERE}:{root}", "TEVIT_RUNS": str(shared), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [*prefix, sys.executable, *arguments],
        cwd=shared,
        env={**os.environ, **names, **paths, "COLUMNS": "200"},
        umask=0o002,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(process):
    return process.communicate(timeout=240)[0]


def test_two_users_run_every_cell_once_and_a_third_reads_it(shared):
    store = Store(shared)
    # the cells' own toys are made by the first to come
    make = "from toy_grids import toy_grid; from toy_cells import write_toy; "
    make += "from launch.records.store import Store; s = Store.default(); "
    make += "[write_toy(s.run(c.signature).path, steps=3) for c in toy_grid(4).cells]"
    assert said(start(shared, FIRST, FIRST, "-c", make)) == ""
    both = [start(shared, user, FIRST, "-c", LAUNCH) for user in (FIRST, SECOND)]
    outputs = [said(process) for process in both]
    assert all(output.endswith("well True\n") for output in outputs), outputs
    assert sum("4 cells submitted" in output for output in outputs) == 1
    assert sum("nothing to submit" in output for output in outputs) == 1
    for cell in toy_grid(4).cells:
        (attempt,) = store.run(cell.signature).attempts()
        assert attempt.end["outcome"] == "done"
    hidden = [p for p in shared.rglob("*") if not p.lstat().st_mode & stat.S_IRGRP]
    assert not hidden
    assert "4 done" in said(start(shared, READER, READER, "-m", "cli", "status", "toys"))
    if os.getuid() == 0:
        refused = said(start(shared, READER, READER, "-c", LAUNCH)).splitlines()[-1]
        assert refused.endswith(f"the store {shared} cannot be written: Permission denied")
