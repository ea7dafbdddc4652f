"""Records of runs, damaged: status, failures and report work, or one error names the file."""

import json
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented_runs import make_store

from launch.commands import failure_groups
from launch.records.store import Store
from launch.watch.status import measures_by_signature, status_rows
from launch.watch.survey import survey
from reports.report import make_report
from tests.core.fuzz.mutations import edited_bytes, edited_trees, fuzzed, works_or_one_error

LOOKED = settings(fuzzed, max_examples=max(fuzzed.max_examples // 2, 1))
REPORTED = settings(fuzzed, max_examples=max(fuzzed.max_examples // 8, 1))


def state(axes, seed):
    if axes["messenger"] == "on":
        return "done"
    return {"per_frame": "failed", "stqi": "queued"}[axes["head"]]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("runs"), seeds=(0,), state=state)
    assert len(records(store)) > 12
    return store


def records(store):
    return sorted(p for p in store.root.rglob("*.json*") if store.root / "reports" not in p.parents)


def look(store):
    """What `tevit status` and `tevit failures` do."""
    manifest = store.manifest("components")
    found = survey(store, measures_by_signature(manifest))
    status_rows(store, manifest.all_cells, found)
    failure_groups(store, manifest)


def report(store):
    make_report(store, "components", formats=["md"], plots=False, clips=False)


@contextmanager
def damaged(data, store):
    """One record is edited, as JSON or as bytes; afterwards the store is as it was."""
    held = {path: path.read_bytes() for path in records(store)}
    path = data.draw(st.sampled_from(sorted(held)))
    if path.suffix == ".json" and data.draw(st.booleans()):
        path.write_text(json.dumps(data.draw(edited_trees(json.loads(held[path])))))
    else:
        path.write_bytes(data.draw(edited_bytes(held[path] or b"\n")))
    try:
        with works_or_one_error(path, path.parent):
            yield
    finally:
        for made in set(records(store)) - set(held):
            made.unlink()
        for record, content in held.items():
            record.write_bytes(content)


@pytest.mark.slow
@LOOKED
@given(data=st.data())
def test_status_and_failures(store, data):
    with damaged(data, store):
        look(Store(store.root))


@pytest.mark.slow
@REPORTED
@given(data=st.data())
def test_reports(store, data):
    with damaged(data, store):
        report(Store(store.root))
