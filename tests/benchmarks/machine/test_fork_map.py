"""A map over forked processes: order, failures, and where it must not fork."""

import multiprocessing
import os
import time

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks.machine.fork_map import fork_map, usable_workers

IN_PARENT = os.getpid()


def test_results_come_in_the_order_of_the_items():
    for workers in (1, 2, 3, 40):
        assert fork_map(lambda n: n * n, range(5), workers) == [n * n for n in range(5)]


def test_nothing_to_do():
    assert fork_map(str, [], 4) == []


def test_the_work_is_shared_out():
    pids = fork_map(lambda _: os.getpid(), range(6), 3)
    assert len(set(pids)) == 3
    assert pids[0] == IN_PARENT
    assert set(fork_map(lambda _: os.getpid(), range(6), 1)) == {IN_PARENT}


@pytest.mark.parametrize("workers", [1, 3])
def test_blas_has_one_thread_a_process(workers):
    def threads(_):
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(4, user_api="blas"):
        assert fork_map(threads, range(4), workers) == [{1}] * 4
        assert threads(0) == {4}, "as before, once it is done"


def test_items_need_not_be_picklable_and_results_may_be_large():
    items = [lambda: "x" * 1_000_000, lambda: "y" * 1_000_000, lambda: "z"]
    assert [len(text) for text in fork_map(lambda f: f(), items, 3)] == [1_000_000, 1_000_000, 1]


def only_in_children(action):
    def function(item):
        return item if os.getpid() == IN_PARENT else action()

    return function


def test_an_exception_in_a_worker_is_raised_with_its_traceback():
    def fail():
        raise KeyError("the cause")

    with pytest.raises(RuntimeError, match=r"(?s)a worker process failed:.*KeyError: 'the cause'"):
        fork_map(only_in_children(fail), range(4), 2)


def test_a_worker_that_dies_is_an_error_and_no_hang():
    with pytest.raises(RuntimeError, match="died with exit code 3"):
        fork_map(only_in_children(lambda: os._exit(3)), range(4), 2)


def test_a_failure_here_ends_the_workers():
    def fail_here(_):
        if os.getpid() == IN_PARENT:
            raise ValueError("here")
        time.sleep(60)

    start = time.monotonic()
    with pytest.raises(ValueError, match="here"):
        fork_map(fail_here, range(4), 3)
    assert time.monotonic() - start < 30
    assert not multiprocessing.active_children()


def test_a_daemon_may_not_fork():
    receiver, sender = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork")
    process = context.Process(target=lambda: sender.send(usable_workers()), daemon=True)
    process.start()
    process.join()
    assert receiver.recv() == 1


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 2), (8, 8), (200, 8)])
def test_as_many_workers_as_cores_up_to_8(monkeypatch, cores, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert usable_workers() == workers
