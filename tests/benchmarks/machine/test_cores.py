from __future__ import annotations

import pytest
import torch

from benchmarks.machine import cores, environment
from benchmarks.machine.cores import cpu_quota, usable_cores


def quota(tmp_path, files, own="0::/job/step\n"):
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "own").write_text(own)
    return cpu_quota(tmp_path / "cgroup", tmp_path / "own")


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"job/step/cpu.max": "50000 100000\n"}, 0.5),
        ({"job/step/cpu.max": "max 100000", "job/cpu.max": "300000 100000"}, 3.0),
        ({"job/step/cpu.max": "400000 100000", "job/cpu.max": "300000 100000"}, 3.0),
        ({"cpu.max": "50000 100000"}, 0.5),
        ({"cpu.max": "max 100000"}, None),
        ({}, None),
        ({"cpu.max": "nonsense"}, None),
    ],
)
def test_half_a_core_of_a_container_is_read(tmp_path, files, cores):
    assert quota(tmp_path, files) == cores


def test_the_first_version_of_control_groups_is_read(tmp_path):
    own = "5:memory:/m\n4:cpu,cpuacct:/docker/abc\n"
    files = {
        "cpu/docker/abc/cpu.cfs_quota_us": "150000\n",
        "cpu/docker/abc/cpu.cfs_period_us": "100000\n",
        "cpu/cpu.cfs_quota_us": "-1\n",
        "cpu/cpu.cfs_period_us": "100000\n",
    }
    assert quota(tmp_path, files, own) == 1.5


def test_a_system_without_control_groups_has_no_quota(tmp_path):
    assert cpu_quota(tmp_path, tmp_path / "absent") is None


def test_a_quota_is_in_the_record_and_in_the_devices_name(monkeypatch):
    monkeypatch.setattr(environment, "cpu_quota", lambda: 0.5)
    assert environment.environment(with_diff=False)["cpu"]["quota"] == 0.5
    assert environment.device_name(torch.device("cpu")).endswith("limited to 0.5 cores)")
    monkeypatch.setattr(environment, "cpu_quota", lambda: None)
    assert environment.device_name(torch.device("cpu")).endswith("threads)")


def test_cores_are_those_that_this_process_may_run_on(monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda pid: {0, 3}, raising=False)
    assert usable_cores() == 2
    monkeypatch.delattr(cores.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cores.os, "cpu_count", lambda: None)
    assert usable_cores() == 1
