"""Fixtures and skips that every room's tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]  # for what is tested of this file itself

# a busy machine is no fault: how long an example may take, the test itself says where it matters
settings.register_profile(
    "at any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("at any speed")

# read when torch is loaded, here and in processes that tests start: threads that spin while they
# wait for one another make the tests take three times as long where anything else computes
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# a shell that starts the tests in the background has them ignore Ctrl-C, which some send
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def need(path: Path) -> Path:
    """``path``, or skip the test and say what is missing."""
    if not path.exists():
        pytest.skip(f"needs {path.relative_to(SHARED.parent)}, which this machine lacks")
    return path


@pytest.fixture
def shared() -> Path:
    """The folder of shared facts and data beside the project."""
    return need(SHARED)


@pytest.fixture(scope="module")
def one_thread():
    """The bits of a sum depend on how many threads share it."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    """Generated videos lie in a folder of these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEVIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Under TEVIT_NO_SKIP=1 (CI) a skipped test fails, unless it needs a GPU or mmdet."""
    outcome = yield
    _fail_if_skipped(item, outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    """So does a file of tests that is skipped as a whole, by what it lacks or imports."""
    outcome = yield
    _fail_if_skipped(collector, outcome.get_result())


def _fail_if_skipped(node, report):
    allowed = node.get_closest_marker("gpu") or node.get_closest_marker("mmdet")
    must_run = os.environ.get("TEVIT_NO_SKIP") == "1" and not allowed
    if must_run and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where it must run: {report.longrepr}"
