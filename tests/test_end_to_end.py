"""One small cell from a grid file to a table, by the commands that a user types."""

import subprocess
import sys

import pytest

from tests.core.training.runs import SMALL

GRID = """
base: tiny
overrides: {overrides}
axes:
  head.kind: [stqi]
measure: [ap, flops]
"""


@pytest.mark.versions
def test_a_small_cell_is_trained_scored_counted_and_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("TEVIT_CACHE", str(tmp_path / "cache"))
    grid = tmp_path / "small.yaml"
    fields = ", ".join(f"{name}: {value}" for name, value in SMALL.items())
    grid.write_text(GRID.replace("{overrides}", f"{{{fields}}}"))

    def tevit(*command):
        store = ("--store", str(tmp_path / "runs"))
        done = subprocess.run(
            [sys.executable, "-m", "cli", *command, *store], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "stqi,s0: done" in tevit("launch", str(grid), "--executor", "inline")
    assert "nothing to submit (1 done)" in tevit("launch", str(grid), "--executor", "inline")
    table = tevit("report", "small")
    assert "AP" in table and "MAdds" in table
    assert (tmp_path / "runs" / "reports" / "small" / "index.html").is_file()
