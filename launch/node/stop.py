"""Why the work should stop: told by signals and by the heartbeat, asked by the training loop.

The handlers only take a note; checkpoint and requeue happen in ordinary code afterwards.  A
thread reads the signals as well, since Python runs handlers only between two instructions of
the main thread, and one call into C may outlast the time that is left.

Imports are light on purpose: this is the first thing a job does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

WARNING = signal.SIGUSR2
"""What submitit asks SLURM to send before it kills a job (time limit, preemption)."""

_REASONS = {WARNING: "warned", signal.SIGTERM: "terminated"}
_PRIORITY = ("lost", "cancelled", "warned", "terminated")


class Stop:
    """A request to stop, with its strongest reason.

    Reasons: "lost" (another process took the cell over), "cancelled" (the user said so),
    "warned" (the scheduler is about to kill or move the job), "terminated" (SIGTERM).
    Calling it says whether to stop, which is what a training loop polls.
    """

    def __init__(self) -> None:
        self._reasons: dict[str, float] = {}
        self._event = threading.Event()

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    def ask(self, reason: str) -> None:
        """Request to stop; safe in a signal handler."""
        self._reasons.setdefault(reason, time.monotonic())
        self._event.set()

    def since(self, reason: str | None) -> float:
        """Seconds since a reason came up; 0 if it has not."""
        return max(0.0, time.monotonic() - self._reasons.get(reason or "", time.monotonic()))

    @property
    def reason(self) -> str | None:
        """The strongest reason given so far."""
        return next((r for r in _PRIORITY if r in self._reasons), None)

    def withdraw(self, reason: str) -> None:
        """Forget a reason that turned out to be none."""
        self._reasons.pop(reason, None)
        if not self._reasons:
            self._event.clear()

    def wait_for_another(self, reason: str, seconds: float) -> str | None:
        """Sleep until a reason other than ``reason`` comes up, at most ``seconds``."""
        end = time.monotonic() + seconds
        while self.reason == reason and time.monotonic() < end:
            time.sleep(0.05)
        return self.reason if self.reason != reason else None

    def after(self, reason: str, seconds: float, action: Callable[[], None]) -> threading.Thread:
        """In a thread: ``action`` once ``reason`` has stood for ``seconds``.

        The thread lives as long as the process; it is there for work that does not react.
        """

        def watch() -> None:
            while True:
                since = self._reasons.get(reason)
                if since is not None and time.monotonic() - since >= seconds:
                    action()
                    return
                time.sleep(0.25)

        thread = threading.Thread(target=watch, name=f"after-{reason}", daemon=True)
        thread.start()
        return thread


_process_stop = Stop()  # signals belong to the process, so does what they ask for
_reader: threading.Thread | None = None


def install() -> Stop:
    """Take SIGUSR2 and SIGTERM over for this process; may be called again to retake them.

    Returns:
        The process's own :class:`Stop`, which also knows the signals of before.
    """
    for number in _REASONS:
        signal.signal(number, _handle)
    _read_in_thread()
    return _process_stop


def begin_anew() -> Stop:
    """As :func:`install`, in a forked process that is to do work of its own.

    It knows nothing of the signals that its parent got, and takes those that were put off.
    """
    global _process_stop, _reader
    _process_stop, _reader = Stop(), None
    fresh = install()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _REASONS)
    return fresh


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Leave signals pending while in the block; a process forked in it is born with them so."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _REASONS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _REASONS)


@contextlib.contextmanager
def interrupt_stops() -> Iterator[None]:
    """In the block, a first Ctrl-C is a request to stop, too; a second one acts as usual."""
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        _process_stop.ask("terminated")
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _handle(number: int, frame: FrameType | None) -> None:
    _process_stop.ask(_REASONS[signal.Signals(number)])


def _read_in_thread() -> None:
    global _reader
    if _reader is not None:
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    _reader = threading.Thread(target=_read, args=(read,), name="signals", daemon=True)
    _reader.start()
    os.register_at_fork(after_in_child=_release_in_child)


def _read(descriptor: int) -> None:
    while data := os.read(descriptor, 64):
        for number in data:
            if number in _REASONS:
                _process_stop.ask(_REASONS[signal.Signals(number)])


def _release_in_child() -> None:
    """A data loader's worker must die of SIGTERM, and ignore a warning meant for its parent."""
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(WARNING, signal.SIG_IGN)
