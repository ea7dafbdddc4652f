from __future__ import annotations

import errno

import pytest

from core.files import write_json
from launch.records import failures
from launch.records.failures import (
    cause_in_text,
    cause_of,
    group_failures,
    record_failure,
    with_room,
)


class OutOfMemoryError(RuntimeError):
    """As torch calls it."""


def chained(outer, inner):
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("x"), "error"),
        (MemoryError(), "out of memory"),
        (OutOfMemoryError("CUDA"), "out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk full"),
        (RuntimeError("write failed: No space left on device"), "disk full"),
        (OSError(errno.ENOENT, "No such file"), "error"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(3), "error"),
        (chained(RuntimeError("saving failed"), OSError(errno.ENOSPC, "full")), "disk full"),
        (ValueError("the words out of memory in a value"), "error"),
    ],
)
def test_causes(error, cause):
    assert cause_of(error) == cause


def test_a_chain_that_bites_its_tail_ends():
    error = ValueError()
    error.__context__ = error
    assert cause_of(error) == "error"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "slurmstepd: error: Step 1.0 exceeded memory limit (9 > 8), being killed",
            "out of memory",
        ),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=1", "out of memory"),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=1", "out of memory"),
        ("OSError: [Errno 28] No space left on device", "disk full"),
        ("all is well", None),
    ],
)
def test_causes_in_logs(text, cause):
    assert cause_in_text(text) == cause


def failed(run, attempt, error, **facts):
    try:
        raise error
    except Exception as caught:
        return record_failure(run, attempt, caught, **facts)


def test_the_first_rank_to_fail_is_the_one_recorded(make_run):
    run = make_run()
    failed(run, 1, ValueError("the cause"), rank=2)
    failed(run, 1, RuntimeError("connection closed by peer"), rank=0)
    assert run.failure()["last_line"] == "ValueError: the cause"
    assert run.failure()["rank"] == 2
    failed(run, 2, RuntimeError("another attempt"))
    assert run.failure()["last_line"] == "RuntimeError: another attempt"


def test_of_a_message_of_many_lines_the_last_one_is_kept(make_run):
    run = make_run()
    failed(run, 1, ValueError("first\nlast"))
    assert run.failure()["last_line"] == "last"
    assert "first" in run.failure()["traceback"]


def test_the_reserve_makes_room_once(make_run):
    run = make_run()
    failures.reserve_room(run)
    written = []

    def write():
        if (run.state_folder / "reserve").exists():
            raise OSError(errno.ENOSPC, "full")
        written.append(1)

    with_room(run, write)
    assert written == [1]

    def always_full():
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        with_room(run, always_full)


def test_other_trouble_while_writing_is_not_hidden(make_run):
    def broken():
        raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken"):
        with_room(make_run(), broken)


def test_alike_failures_are_grouped(make_run):
    runs = {name: make_run(name[0] * 16, name=name) for name in ("a", "b", "c", "d")}
    failed(runs["a"], 1, ValueError("step 17 at 0x7fff12 went wrong"))
    failed(runs["b"], 1, ValueError("step 3 at 0x12 went wrong"))
    failed(runs["c"], 1, KeyError("x"))
    rows = [(n, runs[n], "error") for n in ("a", "b", "c")] + [("d", runs["d"], "lost")]
    first, *others = group_failures(rows)
    assert first.cells == ("a", "b")
    assert first.last_line == "ValueError: step 17 at 0x7fff12 went wrong"
    assert "raise error" in first.traceback
    assert first.log == runs["a"].log(1)
    assert sorted(g.cells for g in others) == [("c",), ("d",)]
    assert next(g for g in others if g.cells == ("d",)).last_line == "(nothing recorded)"


def test_a_damaged_failure_record_is_survived(make_run):
    run = make_run()
    run.failure_path.write_text("{")
    assert run.failure() is None
    write_json(run.failure_path, {})
    assert group_failures([("a", run, "error")])[0].traceback == ""
