from __future__ import annotations

import pytest

from core.errors import UserError
from launch.records import lease, process
from launch.records.failures import CAUSES
from launch.records.run_folder import RunState
from launch.submit.retry import DEFAULT_CAUSES, RetryRules, futile_attempts, parse_rules


def attempts(run, *progress):
    for word in progress:
        lease.acquire(run.state_folder, process.myself(progress=word)).end({})


def state(cause):
    return RunState("interrupted", cause)


@pytest.mark.parametrize("cause", CAUSES)
def test_the_default_rules(make_run, cause):
    refusal = RetryRules().refusal(make_run(), state(cause))
    if cause in ("error", "out of memory", "disk full"):
        assert f"--retry {cause.replace(' ', '-')}" in refusal
    else:
        assert refusal is None


def test_what_is_merely_unfinished_is_always_taken_up(make_run):
    assert RetryRules(causes=frozenset()).refusal(make_run(), state(None)) is None


def test_attempts_without_progress_are_limited(make_run):
    run = make_run()
    attempts(run, "a", "a")
    assert RetryRules(limit=3).refusal(run, state("timeout")) is None
    attempts(run, "a")
    assert "3 attempts got no further" in RetryRules(limit=3).refusal(run, state("timeout"))
    assert parse_rules(["timeout"], 3).refusal(run, state("timeout")) is None
    attempts(run, "b")
    assert RetryRules(limit=3).refusal(run, state("timeout")) is None


@pytest.mark.parametrize(
    ("progress", "count"), [("", 0), ("a", 1), ("aab", 1), ("abb", 2), ("aba", 1), ("aaa", 3)]
)
def test_futile_attempts(make_run, progress, count):
    run = make_run()
    attempts(run, *progress)
    assert futile_attempts(run) == count


def test_causes_by_name():
    assert parse_rules([]) == RetryRules()
    assert parse_rules(["out-of-memory"]).insisted == {"out of memory"}
    assert parse_rules(["out of memory", "error"]).insisted == {"out of memory", "error"}
    assert parse_rules(["all"]).insisted == set(CAUSES)
    assert parse_rules(["none"]).causes == frozenset()
    assert parse_rules(["error"]).causes == DEFAULT_CAUSES


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["oom"], "unknown cause oom.*out-of-memory.*all, none"),
        (["none", "error"], "excludes other causes"),
    ],
)
def test_faulty_causes(names, message):
    with pytest.raises(UserError, match=message):
        parse_rules(names)


def test_the_limit_is_at_least_one():
    with pytest.raises(UserError, match="at least 1"):
        parse_rules([], 0)
