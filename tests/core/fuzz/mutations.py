"""Damaged files: edits of JSON trees and of bytes, and what may come of reading one."""

from __future__ import annotations

import copy
import os
import resource
import time
from contextlib import contextmanager

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from core.errors import UserError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
"""Cases a test; always the same ones.  FUZZ_EXAMPLES=5000 tries more."""
MOST_MEMORY = 2 * 2**30
MOST_SECONDS = 10
"""Of a case, as this process computes: others may have the cores meanwhile."""

fuzzed = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([2**31, 2**63, -(2**70), 10**30, 0.5, -1e300, float("nan"), float("inf")]),
    st.sampled_from(["", "0", "x", "\0", "\ud800", "a/b.png", "../..", "é" * 300]),
    st.just([]),
    st.just({}),
    st.just([[]]),
    st.lists(st.integers(-5, 700), max_size=8),
    st.lists(st.lists(st.floats(-1e9, 1e9), min_size=5, max_size=9), max_size=3),
    st.dictionaries(st.sampled_from(["id", "size", "counts"]), st.integers(-5, 700), max_size=3),
    st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12),
)


@st.composite
def edited_trees(draw, tree):
    """A JSON tree with one to three places changed, removed, doubled or renamed."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        node = parent = tree
        key = None
        for _ in range(draw(st.integers(1, 7))):
            if not isinstance(node, dict | list) or not node:
                break
            keys = sorted(node) if isinstance(node, dict) else range(len(node))
            parent, key = node, draw(st.sampled_from(keys))
            node = node[key]
        if key is None:
            return copy.deepcopy(draw(values))
        action = draw(st.sampled_from(["change", "change", "change", "remove", "double"]))
        if action == "change":
            parent[key] = copy.deepcopy(draw(values))
        elif action == "remove":
            del parent[key]
        elif isinstance(parent, list):
            parent.append(copy.deepcopy(node))
        else:
            parent[draw(st.sampled_from(["id", "video_id", "x"]))] = copy.deepcopy(node)
    return tree


@st.composite
def edited_bytes(draw, content):
    """Bytes with a few places overwritten, cut out, put in twice, or cut off."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        # headers hold most of what can go wrong
        most = draw(st.sampled_from([64, 512, len(content)]))
        place = draw(st.integers(0, max(min(most, len(content)) - 1, 0)))
        action = draw(st.sampled_from(["write", "write", "write", "remove", "double", "cut"]))
        if action == "write":
            new = draw(st.binary(min_size=1, max_size=8))
            content[place : place + len(new)] = new
        elif action == "remove":
            del content[place : place + draw(st.integers(1, 40))]
        elif action == "double":
            content[place:place] = content[place : place + draw(st.integers(1, 40))]
        else:
            del content[max(place, 1) :]
    return bytes(content)


@contextmanager
def works_or_one_error(*names):
    """The block works, or fails by one :class:`UserError` that has one of the names in it."""
    start = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        yield
    except UserError as error:
        assert any(str(name) in str(error) for name in names), error
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < MOST_MEMORY
    assert time.process_time() - start < MOST_SECONDS
