"""docs/extending.md: each diff applies, and the commands below it do what they are to do."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_house import ROOMS

ROOT = Path(__file__).parents[1]
SECTIONS = {
    title: text
    for section in re.split(r"(?m)^## ", (ROOT / "docs" / "extending.md").read_text())[1:]
    for title, _, text in [section.partition("\n")]
}
SHOWS = {
    "A switch": "train.beta2",
    "A head kind": "mean, max",
    "A backbone": "by fvcore",
    "A measurement": "model_size",
    "A figure of AP": "AP90",
    "An executor": "per_frame,s0: done",
    "A renderer": "reports/heads/tables",
    "A dataset": "3 videos",
    "A grid": "per_frame",
}
"""What the commands of each section print only if they had the effect that it promises."""


def fenced(language, text):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def copy(tmp_path):
    """The project in a folder of its own, with the grids that the page shows."""
    root = tmp_path / "project"
    for name in (*ROOMS, "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "switches.md", root / "docs")
    shutil.copy(ROOT / "setup.cfg", root)
    for text in SECTIONS.values():
        for grid in fenced("yaml", text):
            (root / grid.splitlines()[0].removeprefix("# ")).write_text(grid)
    return root


def in_copy(root, command, text=None):
    """What a command prints that runs the code of the copy."""
    done = subprocess.run(
        command,
        cwd=root,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(root),
            "TEVIT_RUNS": str(root.parent / "runs"),
            "GIT_CEILING_DIRECTORIES": str(root.parent),
            "COLUMNS": "200",
        },
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize("title", SECTIONS)
def test_the_diff_applies_and_its_commands_show_what_is_new(copy, title):
    for diff in fenced("diff", SECTIONS[title]):
        in_copy(copy, ["git", "apply"], diff)
    commands = "".join(fenced("bash", SECTIONS[title]))
    assert SHOWS[title] in in_copy(copy, ["bash", "-euxc", commands])
