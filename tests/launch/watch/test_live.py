from __future__ import annotations

import io

from rich.console import Console

from launch.watch import display
from launch.watch.display import ChangeLog, live_status, status_table
from launch.watch.status import StatusRow


def row(name, state, **known):
    unknown = {"cause": "", "step": None, "steps": None, "loss": None, "ap": None}
    last = {"seconds_left": None, "host": "", "job_id": ""}
    return StatusRow(name, state, **(unknown | last | known))


def shown(*looks, problems=()):
    out = io.StringIO()
    with live_status("toys", Console(file=out, width=40)) as display:
        for rows in looks:
            display(rows, problems)
    return out.getvalue().splitlines()


def test_elsewhere_than_on_a_terminal_each_change_is_a_line():
    queued, running = row("a", "queued"), row("a", "running", step=3, steps=9, loss=1.5)
    done = row("a", "done", step=9, steps=9, ap=0.25)
    assert shown([queued], [queued], [running], [running], [done]) == [
        "a: running  step 3/9  loss 1.500",
        "a: done  step 9/9  AP 25.0",
    ]


def test_a_failure_is_told_with_its_cause_and_a_problem_once():
    failed = row("a", "failed", cause="out of memory")
    lines = shown([failed], [failed], problems=["SLURM does not answer"])
    assert lines == ["a: failed  (out of memory)", "! SLURM does not answer"]


def test_now_and_then_those_that_run_are_told_again(monkeypatch):
    monkeypatch.setattr(display, "REPEAT_SECONDS", -1.0)
    running = row("a", "running", step=3, steps=9, seconds_left=61.0)
    assert shown([running], [running]) == ["a: running  step 3/9  0:01:01 left"] * 2


def test_many_changes_are_summed_up():
    out = io.StringIO()
    log = ChangeLog(Console(file=out, width=40))
    log.show([row(f"c{k}", "running") for k in range(100)], [])
    lines = out.getvalue().splitlines()
    assert len(lines) == display.LINES + 1
    assert lines[-1] == "100 running"


def test_on_a_terminal_a_table_changes_in_place():
    out = io.StringIO()
    console = Console(file=out, width=60, force_terminal=True)
    with live_status("toys", console) as display:
        display([row("a", "running", step=3, steps=9)], [])
    assert "3/9" in out.getvalue()


def test_a_cell_that_lacks_a_measurement_that_failed_is_shown_as_done_but_for_it():
    out = io.StringIO()
    console = Console(file=out, width=120)
    rows = [
        row("x", "interrupted", cause="done but for fps"),
        row("y", "interrupted", cause="died"),
    ]
    console.print(status_table("toys", rows, 60))
    lines = [line.split("│")[1:3] for line in out.getvalue().splitlines() if "│" in line]
    assert [[part.strip() for part in line] for line in lines] == [
        ["x", "done but for fps"],
        ["y", "interrupted"],
    ]
