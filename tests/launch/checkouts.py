"""Copies of the project, as small checkouts that tests may edit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.machine.code import PACKAGES, code_root


def git(folder, *words):
    own = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", "-C", folder, *own, *words], check=True, capture_output=True)


def copy_of_project(folder: Path) -> Path:
    """The packages under ``folder``, committed."""
    for package in PACKAGES:
        away = shutil.ignore_patterns("__pycache__")
        shutil.copytree(code_root() / package, folder / package, ignore=away)
    (folder / ".gitignore").write_text("__pycache__/\n/runs/\n")
    git(folder, "init", "-q", "-b", "trunk")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def editable_install(folder: Path, checkout: Path) -> None:
    """What ``pip install -e`` puts among the libraries, and the worst that may stand there."""
    packages = {package: str(checkout / package) for package in PACKAGES}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        f"""
import sys
from importlib.machinery import PathFinder
from importlib.util import spec_from_file_location

MAPPING = {packages!r}

class EditableFinder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in MAPPING:
            return spec_from_file_location(name, MAPPING[name] + "/__init__.py")

sys.meta_path.append(EditableFinder)
"""
    )
    shutil.copytree(checkout / "core", folder / "core", dirs_exist_ok=True)  # shadows by its name


def environment(*path: Path, **more: str) -> dict[str, str]:
    """Of a process that finds modules in ``path`` first."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), **more}


PROBE_CELL = "core.probe:cell"
CELL = '''
"""A cell whose result is the code's: it waits for a file "go", and may fail."""

import time
from core.files import write_json

VALUE = {value}

def cell(run, *, attempt, should_stop, leader=True):
    while not (run.path.parent / "go").exists() and not should_stop():
        time.sleep(0.02)
    if {fails}:
        raise ValueError(f"code {{VALUE}} is wrong")
    write_json(run.result("ap"), {{"kind": "ap", "figures": {{"AP": VALUE}}}})
    return True
'''


def edit(checkout: Path, value: int, fails: bool = False) -> None:
    text = CELL.format(value=value, fails=fails)
    (checkout / "core/probe.py").write_text(text)  # neither tracked nor ignored


def go(store):
    store.runs.mkdir(parents=True, exist_ok=True)
    (store.runs / "go").touch()


def values(store, grid):
    records = [store.run(cell.signature).result("ap") for cell in grid.cells]
    return [json.loads(r.read_text())["figures"]["AP"] if r.exists() else None for r in records]
