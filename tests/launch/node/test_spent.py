"""What a run takes besides time."""

from __future__ import annotations

import pytest

from benchmarks.machine import energy
from benchmarks.machine.energy import Counter, Meter, NotMeasurableError
from core.files import read_json
from launch.node.spent import metered


def test_the_peak_over_all_attempts_is_kept_also_of_one_that_failed(make_run):
    run = make_run()
    with pytest.raises(ValueError, match="on purpose"), metered(run):
        kept = bytearray(200 * 2**20)
        del kept
        raise ValueError("on purpose")
    first = read_json(run.spent)
    with metered(run):
        pass
    assert read_json(run.spent) == first
    assert first["host_peak"] > 200 * 2**20 and first["gpu_peak"] is None


def test_a_record_that_cannot_be_written_stops_no_run(make_run, monkeypatch, caplog):
    def full(path, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("launch.node.spent.write_json", full)
    with metered(make_run()):
        pass
    assert "No space left" in caplog.text


def test_joules_add_up_over_attempts_and_say_of_how_many(make_run, monkeypatch):
    run, now = make_run(), [0.0]
    asked = []

    def meter(device, gpus):
        asked.append((device.type, gpus))
        return Meter("X", [Counter("x", lambda: now[0])])

    monkeypatch.setattr(energy, "make_meter", meter)
    for joules in (30.0, 70.0):
        with metered(run):
            now[0] += joules
    assert read_json(run.spent)["energy"] == {"source": "X: x", "joules": 100.0, "attempts": 2}
    assert asked == [("cpu", 1)] * 2


def test_a_machine_that_counts_no_energy_is_named_and_loses_no_earlier_joules(
    make_run, monkeypatch
):
    def refuse(device, gpus):
        raise NotMeasurableError("no counters")

    run = make_run()
    monkeypatch.setattr(energy, "make_meter", refuse)
    with metered(run):
        pass
    assert read_json(run.spent)["energy"] == {"why_not": "no counters"}
    known = {"source": "X", "joules": 5.0, "attempts": 1}
    run.spent.write_text('{"energy": {"source": "X", "joules": 5.0, "attempts": 1}}')
    with metered(run):
        pass
    assert read_json(run.spent)["energy"] == known


def test_gpus_of_other_nodes_are_not_left_out_in_silence(make_run, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr("torch.cuda.max_memory_reserved", lambda: 7)
    place = {"EXECUTOR": "local", "LOCAL_JOB_ID": "1", "LOCAL_NTASKS": "4"}
    for name, value in {**place, "LOCAL_GLOBALID": "0", "LOCAL_LOCALID": "0"}.items():
        monkeypatch.setenv(f"SUBMITIT_{name}", value)
    run = make_run()
    with metered(run):
        pass
    assert read_json(run.spent)["energy"] == {"why_not": "its GPUs are not all on this node"}
    assert read_json(run.spent)["gpu_peak"] == 7
