"""A map over processes that share their parent's memory instead of receiving copies."""

from __future__ import annotations

import gc
import multiprocessing
import traceback
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from benchmarks.machine.cores import usable_cores

MOST_WORKERS = 8
"""More take longer to start than they save; and a container may see cores it may not use."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def usable_workers() -> int:
    """Cores that this process may use, at most 8; 1 where processes cannot be forked from it."""
    if "fork" not in multiprocessing.get_all_start_methods():
        return 1
    if multiprocessing.current_process().daemon:
        return 1
    return min(usable_cores(), MOST_WORKERS)


def fork_map(
    function: Callable[[_Item], _Result], items: Sequence[_Item], workers: int
) -> list[_Result]:
    """``[function(item) for item in items]`` by ``workers`` processes, this one among them.

    The items are inherited, not pickled: hundreds of megabytes of masks cost nothing to hand
    over.  Only results travel.  ``function`` must not touch CUDA or threads.

    BLAS computes with one thread in each process: with as many as there are cores, which is its own
    choice, they would wait for each other's.

    Raises:
        RuntimeError: a worker failed; the message holds its traceback.
    """
    with threadpool_limits(1, user_api="blas"):
        return _forked(function, items, max(1, min(workers, len(items))))


def _forked(
    function: Callable[[_Item], _Result], items: Sequence[_Item], workers: int
) -> list[_Result]:
    context = multiprocessing.get_context("fork") if workers > 1 else multiprocessing
    children = []
    for k in range(1, workers):
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_work, args=(function, items[k::workers], sender))
        with warnings.catch_warnings():
            # forking beside threads is safe here: a child only computes, and takes no lock
            warnings.simplefilter("ignore", DeprecationWarning)
            child.start()
        sender.close()
        children.append((child, receiver))
    results: list[Any] = [None] * len(items)
    try:
        results[0::workers] = [function(item) for item in items[0::workers]]
        for k, (child, receiver) in enumerate(children, start=1):
            results[k::workers] = _receive(child, receiver)
    finally:
        for child, receiver in children:
            receiver.close()
            child.kill()
            child.join()
    return results


def _receive(child: Any, receiver: Connection) -> list[Any]:
    try:
        results, failure = receiver.recv()
    except EOFError:
        child.join()
        raise RuntimeError(f"a worker process died with exit code {child.exitcode}") from None
    if failure:
        raise RuntimeError(f"a worker process failed:\n{failure}")
    return list(results)


def _work(function: Callable[[Any], Any], items: Sequence[Any], sender: Connection) -> None:
    gc.disable()  # a collection would touch, and so copy, all that was inherited
    try:
        answer: tuple[list[Any] | None, str] = ([function(item) for item in items], "")
    except Exception:
        answer = (None, traceback.format_exc())
    sender.send(answer)
    sender.close()
