"""What two runs differ in, and which frozen copies may go."""

from __future__ import annotations

import os
import shutil
import time

import pytest
from checkouts import copy_of_project, edit
from toy_grids import toy_grid

from benchmarks.machine.code import MARK
from cli import app
from core.errors import UserError
from core.files import write_json
from launch.code import clean
from launch.code.snapshot import freeze, mark_of
from launch.diff import diff_lines
from launch.records import lease
from launch.records.journal import Batch, Journal
from launch.records.process import myself
from launch.reproduce import recipe

ENVIRONMENT = {
    "python": "3.11.7",
    "packages": {"torch": "2.14.1"},
    "gpus": [],
    "git": {"commit": "a" * 40, "dirty": False},
}


@pytest.fixture
def checkout(tmp_path):
    folder = copy_of_project(tmp_path / "checkout")
    edit(folder, 1)
    return folder


@pytest.fixture
def attempt(store):
    """``attempt(cell, code)``: an attempt of a cell's run by the code, ended."""

    def make(cell, code, **facts):
        run = store.run(cell.signature)
        run.create(schema=1, name=cell.name, config=cell.config, measure=["ap"])
        claim = lease.acquire(run.state_folder, myself(code=code))
        claim.end({"outcome": "stopped", "cause": "terminated"})
        known = {"id": code, "modules": mark_of(store, code).get("modules") or code}
        environment = {**ENVIRONMENT, "code": known, **facts}
        record = {"attempt": claim.number, "time": "then", "environment": environment}
        write_json(run.provenance(claim.number), record)
        return run

    return make


def test_what_two_runs_differ_in_is_named_to_the_line(store, checkout, attempt):
    first, second = toy_grid(2).cells
    a = attempt(first, freeze(store, checkout))
    edit(checkout, 2)
    (checkout / "core/interrupt.py").unlink()
    (checkout / "notes.md").write_text("words\nmore\n")
    b = attempt(second, freeze(store, checkout), packages={"torch": "2.15.0"})
    lines = list(diff_lines(a, b, patch=True))
    assert lines[0] == "code: 3 files differ"
    assert any(line.startswith("  changed  core/probe.py  +1 -1") for line in lines)
    assert any(line.startswith("  removed  core/interrupt.py  +0 -") for line in lines)
    assert "  added    notes.md  +2 -0  (not imported)" in lines
    assert "  seed: 0 -> 1" in lines
    assert "  packages.torch: 2.14.1 -> 2.15.0" in lines
    assert "-VALUE = 1" in lines and "+VALUE = 2" in lines
    assert not any(line.startswith("-VALUE") for line in diff_lines(a, b, patch=False))


def test_words_alone_are_no_other_code(store, checkout, attempt):
    first, second = toy_grid(2).cells
    a = attempt(first, freeze(store, checkout))
    (checkout / "notes.md").write_text("words\n")
    b = attempt(second, freeze(store, checkout))
    assert next(diff_lines(a, b, patch=False)) == "code: 1 file differs, none that a cell imports"
    same = list(diff_lines(a, a, patch=False))
    assert same[0].startswith("code: the same (")
    assert same[1:] == ["config: the same", "environment: the same"]


def test_of_code_that_was_not_kept_names_are_all_there_is(store, attempt):
    first, second = toy_grid(2).cells
    a, b = attempt(first, "1.0-" + "a" * 16), attempt(second, "1.1-" + "b" * 16)
    assert list(diff_lines(a, b, patch=True))[:3] == [
        "code: differs; the files are not known",
        f"  {a.signature}: 1.0-{'a' * 16}, commit {'a' * 12} (clean)",
        f"  {b.signature}: 1.1-{'b' * 16}, commit {'a' * 12} (clean)",
    ]


def test_diff_is_a_command(store, attempt, capsys):
    (cell,) = toy_grid(1).cells
    run = attempt(cell, "1.0-" + "a" * 16)
    name = run.signature[:6]
    app(["diff", name, str(run.path), "--store", str(store.root)], standalone_mode=False)
    assert capsys.readouterr().out.startswith("code: the same")
    with pytest.raises(UserError, match="no such run"):
        app(["diff", name, "ffff", "--store", str(store.root)], standalone_mode=False)


def test_a_run_is_reproduced_by_its_frozen_code(store, checkout, attempt, tmp_path):
    (cell,) = toy_grid(1).cells
    code = freeze(store, checkout)
    facts = {"commit": "a" * 40, "dirty": True, "diff": "x", "untracked": ["core/probe.py"]}
    made = recipe(attempt(cell, code, git=facts), tmp_path, {**ENVIRONMENT, "git": facts})
    (command,) = made.commands
    assert command.startswith(f"python -P {store.code / code}/launch/code/start.py cli reproduce ")
    assert made.differences == ()


def old(store, code, days=2.0):
    stamp = time.time() - 24 * 3600 * days
    os.utime(store.code / code / MARK, (stamp, stamp))


def test_only_copies_that_no_run_names_may_go(store, checkout, attempt, capsys):
    first, second = toy_grid(2).cells
    ran = freeze(store, checkout)
    attempt(first, ran)
    edit(checkout, 2)
    waits = freeze(store, checkout)
    batch = Batch("b", "toys", "local", (second.signature,), ("c",), "f", codes=(waits,))
    Journal(store).begin(batch)
    store.run(second.signature).mark_queued("b", 0)
    edit(checkout, 3)
    gone = freeze(store, checkout)
    edit(checkout, 4)
    fresh = freeze(store, checkout)
    half = store.code / ".0123.7.abcd.tmp"
    half.mkdir()
    os.utime(half, (0, 0))
    for code in (ran, waits, gone):
        old(store, code)
    assert [copy.folder.name for copy in clean.unused(store)] == [half.name, gone]

    command = ["clean", "--store", str(store.root)]
    app(command, standalone_mode=False)
    shown = capsys.readouterr().out
    assert str(store.code / gone) in shown and "MB  of " in shown and "left half-written" in shown
    assert (store.code / gone).exists(), "it shows first"
    app([*command, "--yes"], standalone_mode=False)
    assert sorted(p.name for p in store.code.iterdir()) == sorted([ran, waits, fresh])
    app(command, standalone_mode=False)
    assert "every frozen copy" in capsys.readouterr().out.splitlines()[-1]

    shutil.rmtree(store.run(first.signature).path)
    assert [copy.folder.name for copy in clean.unused(store)] == [ran]
    assert freeze(store, checkout) == fresh  # found again, a copy counts as used
    old(store, fresh)
    freeze(store, checkout)
    assert [copy.folder.name for copy in clean.unused(store)] == [ran]


def test_a_copy_that_cannot_be_deleted_is_named(store, tmp_path):
    missing = clean.Unused(tmp_path / "not there", 0, "")
    with pytest.raises(UserError, match="not there cannot be deleted"):
        clean.remove([missing])
    assert clean.unused(store) == []
