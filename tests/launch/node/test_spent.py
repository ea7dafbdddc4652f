"""What a run takes besides time."""

from __future__ import annotations

import pytest

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
