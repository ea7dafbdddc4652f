import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speed import max_clip
from benchmarks.speed.isolated import OutOfMemory, SpeedJob
from benchmarks.speed.max_clip import find_max_clip, longest_that_fits
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.workload import ClipShape
from core import preset
from core.errors import UserError

SPEC = WorkloadSpec("tiny", ClipShape(5, 32, 32), preset("tiny").to_dict())


@given(st.integers(0, 300), st.integers(1, 40), st.integers(0, 200))
def test_the_longest_that_fits_is_found_whatever_the_start(limit, start, more):
    most = start + more
    found = longest_that_fits(lambda n: n <= limit, start=start, most=most)
    assert found.longest == (min(limit, most) or None)
    assert found.bounded == (limit < most)
    assert all(fitted == (length <= limit) for length, fitted in found.tried.items())


@given(st.integers(1, 1024))
def test_few_trials_are_needed(limit):
    tried = longest_that_fits(lambda n: n <= limit).tried
    assert len(tried) <= 2 * limit.bit_length() + 1


def test_no_length_is_tried_twice():
    lengths = []
    longest_that_fits(lambda n: lengths.append(n) or n <= 37)
    assert len(lengths) == len(set(lengths))


@pytest.mark.parametrize(("start", "most"), [(0, 5), (6, 5)])
def test_a_search_without_lengths(start, most):
    with pytest.raises(UserError, match=f"start={start}, most={most}"):
        longest_that_fits(lambda n: True, start=start, most=most)


def search(limit, **changes):
    jobs, told = [], []

    def run(job):
        jobs.append(job)
        if job.workloads[0].shape.clip_length > limit:
            raise OutOfMemory("no")
        return []

    job = SpeedJob("fps", (SPEC,), **changes)
    record = find_max_clip(job, most=64, run=run, report=lambda n, ok: told.append((n, ok)))
    return record, jobs, told


def test_every_trial_is_a_job_at_the_same_shape_but_its_length():
    record, jobs, told = search(11)
    assert record["kind"] == "max_clip" and record["figures"] == {"max_clip": 11, "bounded": True}
    assert {job.kind for job in jobs} == {"fits"}
    assert {(j.workloads[0].shape.height, j.workloads[0].name) for j in jobs} == {(32, "tiny")}
    assert record["tried"] == {str(n): ok for n, ok in told}
    assert record["tried"]["11"] and not record["tried"]["12"]


def test_on_a_cpu_the_limit_is_what_was_free_and_it_is_recorded(monkeypatch):
    monkeypatch.setattr(max_clip, "available_memory", lambda: 1000)
    record, jobs, _ = search(3)
    assert {job.memory_limit for job in jobs} == {900}
    assert record["protocol"]["memory_limit"] == 900


def test_a_limit_that_is_asked_for_is_kept():
    assert search(3, memory_limit=7)[0]["protocol"]["memory_limit"] == 7


def test_on_a_gpu_all_its_memory_may_be_used():
    assert search(3, device="cuda")[0]["protocol"]["memory_limit"] is None


def test_not_even_one_frame():
    assert search(0)[0]["figures"] == {"max_clip": None, "bounded": True}


def test_other_failures_are_not_taken_for_want_of_memory():
    def run(job):
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        find_max_clip(SpeedJob("fps", (SPEC,)), run=run)
