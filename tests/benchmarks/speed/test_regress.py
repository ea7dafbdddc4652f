"""Today's speed against a record: two numbers have to agree."""

from __future__ import annotations

import random

import pytest

from benchmarks.machine.environment import environment
from benchmarks.speed.regress import check_machine, compare_speeds, read_record
from core.errors import UserError
from core.files import write_json


def record(ms, rate=1e9, noise=0.005, n=20, name="a", scope="step", after=None, busy=0.0,
           device="cpu"):  # fmt: skip
    draw = random.Random(7)
    samples = [ms * (1 + draw.gauss(0, noise)) for _ in range(n)]
    return {
        "name": name, "figures": {}, "scopes": {scope: {"samples_ms": samples}},
        "achieved": {
            "matmul_rate": rate, "matmul_rate_before": rate, "matmul_rate_after": after or rate,
        },
        "protocol": {"device_type": device},
        "environment": {
            "cpu": {"cores": 2}, "before": {"busy_processes": []},
            "after": {"busy_processes": [{"cores": busy}]},
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("now", "word"),
    [
        (record(100), "as fast"),
        (record(103), "as fast"),
        (record(80), "faster"),
        (record(125), "slower"),
        (record(125, rate=0.8e9), "cannot tell"),  # the machine is slower today
        (record(100, rate=2e9), "cannot tell"),  # the machine is faster, and the code is not
        (record(104, noise=0.2), "cannot tell"),
        (record(80, n=4), "cannot tell"),
        (record(80, busy=0.1), "faster"),
        (record(125, busy=1.9), "cannot tell"),
        (record(125, busy=1.9, device="cuda"), "slower"),
        (record(125, after=0.8e9), "cannot tell"),
    ],
)
def test_what_is_said_of_a_difference(now, word):
    (found,) = compare_speeds([record(100)], [now])
    assert found.word == word
    assert f"a, step: {word}: " in found.sentence()


def test_a_record_without_libraries_is_compared_by_the_one_that_it_was_measured_with():
    old, new = record(100, rate=1e9), record(100, rate=2e9)
    new["achieved"]["matmul_rates"] = {"torch.mm": 1e9, "oneDNN": 2e9}
    (found,) = compare_speeds([old], [new])
    assert (found.word, found.by_rate.value) == ("as fast", pytest.approx(1))
    (found,) = compare_speeds([new], [old])
    assert found.word == "as fast"
    quicker = record(100, rate=4e9)
    quicker["achieved"]["matmul_rates"] = {"torch.mm": 1e9, "oneDNN": 4e9}
    (found,) = compare_speeds([new], [quicker])
    assert (found.word, found.by_rate.value) == ("cannot tell", pytest.approx(0.5))


def test_why_neither_number_counts_is_said():
    (found,) = compare_speeds([record(100, busy=1.5)], [record(125)])
    assert found.sentence().endswith("(then other processes computed on 1.5 cores)")
    (found,) = compare_speeds([record(100)], [record(125, after=5e8)])
    assert found.sentence().endswith("(now the matrix-product rate changed: 1 to 0.5 G/s)")


def test_numbers_and_tolerance():
    (found,) = compare_speeds([record(100)], [record(80)], tolerance=0.3)
    assert found.word == "as fast" and found.speedup.value == pytest.approx(1.25)
    (found,) = compare_speeds([record(100)], [record(80, rate=2e9)])
    assert found.by_rate.value == pytest.approx(0.625)


def test_only_what_both_have_is_compared():
    lost = {**record(100), "figures": None}
    assert compare_speeds([record(100)], [lost]) == []
    assert compare_speeds([record(100)], [record(100, scope="model")]) == []
    assert compare_speeds([record(100)], [record(100, name="b")]) == []


def test_speeds_of_two_machines_are_not_compared(tmp_path):
    here = environment(with_diff=False)
    check_machine(tmp_path, here, here, None)
    threads = {**here, "threads": {**here["threads"], "intra_op": 99}}
    check_machine(tmp_path, threads, here, 1)  # the job sets them
    with pytest.raises(UserError, match="another machine: threads 99, here"):
        check_machine(tmp_path, threads, here, None)
    with pytest.raises(UserError, match="another machine: CPU"):
        check_machine(tmp_path, {**here, "cpu": {"model": "Z80"}}, here, 1)
    with pytest.raises(UserError, match="another machine: GPUs"):
        check_machine(tmp_path, {**here, "gpus": [{"name": "X"}]}, here, 1)


@pytest.mark.parametrize("content", [[], {}, {"job": 1, "records": []}, {"records": []}])
def test_a_file_that_cannot_be_measured_again_is_refused(tmp_path, content):
    path = tmp_path / "old.json"
    write_json(path, content)
    with pytest.raises(UserError, match=r"old.json: no record that can be measured again"):
        read_record(path)
