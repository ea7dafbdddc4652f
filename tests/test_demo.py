"""What `make demo` does when something fails, with a command that only notes what it was asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("launch", "report", "well"), [(0, 0, True), (1, 0, False), (0, 2, False), (1, 2, False)]
)
def test_the_demo_reports_what_there_is_and_ends_in_an_error_if_something_is_missing(
    tmp_path, launch, report, well
):
    tevit = tmp_path / "bin" / "tevit"
    tevit.parent.mkdir()
    tevit.write_text(
        "#!/bin/sh\n"
        f'echo "$TEVIT_RUNS $@" >> {tmp_path}/asked\n'
        f"case $1 in launch) exit {launch};; report) exit {report};; esac\n"
    )
    tevit.chmod(0o755)
    done = subprocess.run(
        ["make", "--no-print-directory", "demo", f"VENV={tmp_path}", "DEMO_RUNS=kept"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == well, done.stderr
    asked = [line.split()[:3] for line in (tmp_path / "asked").read_text().splitlines()]
    assert asked == [["kept", "launch", "components"], ["kept", "report", "components"]]
    assert ("the demo is not complete" in done.stderr) == (not well)
