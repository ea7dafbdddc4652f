"""Something that is done every so many seconds, beside what else a process does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def periodically(action: Callable[[], object], seconds: float, name: str) -> Iterator[None]:
    """Do ``action`` in a thread called ``name``, every so many seconds while in the block."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            action()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
