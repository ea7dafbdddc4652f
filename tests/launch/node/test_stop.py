from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from launch.node.stop import Stop


def test_the_strongest_reason_counts():
    stop = Stop()
    assert not stop()
    assert stop.reason is None
    for reason in ("terminated", "warned", "cancelled", "lost", "terminated"):
        stop.ask(reason)
    assert stop()
    assert stop.reason == "lost"


def test_a_reason_can_be_withdrawn():
    stop = Stop()
    stop.ask("terminated")
    stop.ask("warned")
    stop.withdraw("terminated")
    assert stop()
    stop.withdraw("warned")
    assert not stop()


def test_waiting_for_another_reason():
    stop = Stop()
    stop.ask("terminated")
    assert stop.wait_for_another("terminated", 0.01) is None
    stop.ask("warned")
    assert stop.wait_for_another("terminated", 10) == "warned"


def test_an_action_follows_a_reason_that_stands():
    stop, done = Stop(), []
    thread = stop.after("warned", 0.01, lambda: done.append(1))
    stop.ask("warned")
    thread.join(timeout=10)
    assert done == [1]


def run_python(code, *, expect=0):
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


PRELUDE = """
import os, sys, time, signal, ctypes, threading
from launch.node import stop
signals = stop.install()
print("ready", flush=True)
"""


def test_a_signal_is_noted_and_kills_nothing():
    process = run_python(PRELUDE + "while not signals(): time.sleep(0.01)\nprint(signals.reason)")
    process.send_signal(signal.SIGUSR2)
    assert process.communicate(timeout=20)[0] == "warned\n"
    assert process.returncode == 0


def test_a_signal_is_noted_while_the_main_thread_is_in_c_code():
    code = """
import ctypes, toy_cells
def act():
    print("noted", signals.reason, flush=True)
    os._exit(5)
signals.after("warned", 0.1, act)
toy_cells.block_in_c(ctypes.CDLL(None))
"""
    process = run_python(PRELUDE + code)
    time.sleep(0.2)
    process.send_signal(signal.SIGUSR2)
    assert process.communicate(timeout=20)[0] == "noted warned\n"
    assert process.returncode == 5


def test_handlers_can_be_taken_back():
    code = """
signal.signal(signal.SIGUSR2, lambda *_: print("somebody else's"))
stop.install()
os.kill(os.getpid(), signal.SIGUSR2)
time.sleep(0.1)
print(signals.reason)
"""
    assert run_python(PRELUDE + code).communicate(timeout=20)[0] == "warned\n"


def test_a_forked_worker_dies_of_sigterm_and_its_parent_does_not_notice():
    code = """
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGUSR2)  # meant for the parent
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(0)
_, status = os.waitpid(child, 0)
time.sleep(0.2)
print(os.WTERMSIG(status), signals.reason)
"""
    output = run_python(PRELUDE + code).communicate(timeout=20)[0]
    assert output == f"{int(signal.SIGTERM)} None\n"


def test_what_a_job_imports_first_is_light():
    code = (
        "import sys, launch.node.worker;"
        "print(sorted({'torch','numpy','pydantic','submitit'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    code = code.replace("launch.node.worker", "launch.node.task")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in out.stdout
    assert os.environ.get("SUBMITIT_EXECUTOR") is None
