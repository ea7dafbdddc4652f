"""What is skipped fails where every test must run (TEVIT_NO_SKIP=1), and is skipped elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

WAYS = """
import pytest

@pytest.fixture
def lacking():
    pytest.skip("by a fixture")

def test_by_a_fixture(lacking): ...

def test_in_its_midst():
    pytest.skip("in its midst")

@pytest.mark.skipif(True, reason="by a mark")
def test_by_a_mark(): ...

@pytest.mark.parametrize("none", [])
def test_of_no_values(none): ...

@pytest.mark.gpu
def test_that_needs_a_gpu():
    pytest.skip("needs a GPU")
"""


@pytest.mark.parametrize(
    ("must_run", "outcomes"),
    [("1", {"skipped": 1, "failed": 1, "errors": 4}), ("", {"skipped": 6})],
)
def test_every_way_to_skip_fails_where_all_must_run(pytester, monkeypatch, must_run, outcomes):
    monkeypatch.setenv("TEVIT_NO_SKIP", must_run)
    conftest = Path(__file__).with_name("conftest.py").read_text()
    pytester.makeconftest(conftest.replace('pytest_plugins = ["pytester"]', ""))
    pytester.makeini("[pytest]\nmarkers =\n    gpu\n    mmdet\n")
    pytester.makepyfile(WAYS, test_whole='import pytest\npytest.importorskip("not_installed")\n')
    done = pytester.runpytest_inprocess("--continue-on-collection-errors")
    assert done.parseoutcomes() == outcomes
    assert (done.ret == 0) == (not must_run)
