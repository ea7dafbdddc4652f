import copy
import json
import multiprocessing
import os
import time

import pytest
import torch

from benchmarks.machine import state as ms

CPU = torch.device("cpu")


def quiet():
    return {"load_average": [0, 0, 0], "cpu_mhz": 3000.0, "busy_processes": []}


def on_gpu(**changes):
    gpu = {
        "clock_sm_mhz": 1980.0, "clock_memory_mhz": 2600.0, "temperature_c": 40.0,
        "power_w": 300.0, "utilisation_percent": 0.0, "throttle": 0.0,
    }  # fmt: skip
    return {**quiet(), "gpu": {**gpu, **changes}, "gpu_processes": []}


def test_state_of_a_cpu_is_json():
    state = ms.machine_state(CPU, seconds=0.05)
    assert json.loads(json.dumps(state)) == state
    assert len(state["load_average"]) == 3 and "gpu" not in state


def test_nothing_changed_nothing_to_say():
    assert ms.drift(quiet(), quiet(), [("model", 0.02)]) == []
    assert ms.drift(on_gpu(), on_gpu()) == []


def test_a_trend_of_the_samples_is_flagged():
    (reason,) = ms.drift(quiet(), quiet(), [("model", 0.2), ("postprocess", -0.01)])
    assert reason.startswith("model: +20%")


def test_another_process_is_flagged_with_its_name():
    busy = {**quiet(), "busy_processes": [{"pid": 1, "name": "make", "cores": 1.5}]}
    (reason,) = ms.drift(quiet(), busy)
    assert "after" in reason and "1.5 cores: make" in reason


@pytest.mark.parametrize(
    ("change", "words"),
    [({"clock_sm_mhz": 1500.0}, "GPU clock from 1980 to 1500"),
     ({"clock_memory_mhz": 1000.0}, "GPU memory clock"),
     ({"temperature_c": 75.0}, "temperature from 40 to 75"),
     ({"throttle": float(0x20)}, "throttled after"),
     ({"throttle": float(0x01)}, None),  # idle is no throttling
     ({"temperature_c": 45.0}, None),
     ({"clock_sm_mhz": None}, None)],
)  # fmt: skip
def test_a_gpu_that_changed_is_flagged(change, words):
    reasons = ms.drift(on_gpu(), on_gpu(**change))
    assert (words is None and not reasons) or (len(reasons) == 1 and words in reasons[0])


def test_other_processes_on_the_gpu_are_flagged():
    after = copy.deepcopy(on_gpu())
    after["gpu_processes"] = [{"pid": 77, "memory_mib": 900.0}]
    (reason,) = ms.drift(on_gpu(), after)
    assert "0 before, 1 came" in reason


def test_cpu_clock_change_is_flagged():
    slow = {**quiet(), "cpu_mhz": 2000.0}
    assert ms.drift(quiet(), slow) == ["CPU clock from 3000 to 2000 MHz"]


def write_stat(proc, pid, name, parent, ticks):
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    fields = ["S", str(parent), *["0"] * 9, str(ticks), "0", *["0"] * 20]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")


def test_names_with_blanks_and_parentheses_are_read(tmp_path):
    write_stat(tmp_path, 10, "a (b) c", 1, 200)
    assert ms._cpu_seconds(tmp_path)[10] == ("a (b) c", 1, 200 / os.sysconf("SC_CLK_TCK"))


def test_own_children_do_not_count_as_others():
    parents = {2: 1, 3: 2, 4: 3, 9: 1}
    assert ms._descendants(parents, 2) == {2, 3, 4}


def burn(until):
    while time.time() < until:
        pass


def test_a_busy_child_is_not_named_but_a_stranger_would_be(monkeypatch):
    child = multiprocessing.get_context("fork").Process(target=burn, args=(time.time() + 3,))
    child.start()
    try:
        assert child.pid not in [p["pid"] for p in ms.busy_processes(0.5)]
        monkeypatch.setattr(ms, "_descendants", lambda parents, root: {root})
        monkeypatch.setattr(ms, "BUSY", 0.01)
        assert child.pid in [p["pid"] for p in ms.busy_processes(0.5)]
    finally:
        child.kill()
        child.join()


def test_cpu_clock_is_the_mean_of_the_cores(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("cpu MHz\t\t: 1000.0\nmodel\t: 1\ncpu MHz\t\t: 3000.0\n")
    assert ms.cpu_mhz(path) == 2000
    path.write_text("nothing\n")
    assert ms.cpu_mhz(path) is None


def fake_smi(monkeypatch, answers):
    class Properties:
        uuid = "1234"

    monkeypatch.setattr(ms.torch.cuda, "get_device_properties", lambda device: Properties())
    asked = []

    def run(command):
        asked.append(command)
        return answers.get(command[3].partition("=")[0])

    monkeypatch.setattr(ms, "run_text", run)
    return asked


def test_gpu_state_is_read_from_nvidia_smi(monkeypatch):
    asked = fake_smi(monkeypatch, {"--query-gpu": "1980, 2619, 41, 121.5, 3, 0x0000000000000004\n"})
    state = ms.gpu_state(torch.device("cuda:0"))
    assert state == {
        "clock_sm_mhz": 1980.0, "clock_memory_mhz": 2619.0, "temperature_c": 41.0,
        "power_w": 121.5, "utilisation_percent": 3.0, "throttle": 4.0,
    }  # fmt: skip
    assert asked[0][:3] == ["nvidia-smi", "-i", "GPU-1234"]


def test_gpu_fields_that_are_not_available_are_none(monkeypatch):
    fake_smi(monkeypatch, {"--query-gpu": "1980, 2619, 41, [N/A], 3, [N/A]\n"})
    state = ms.gpu_state(torch.device("cuda:0"))
    assert state["power_w"] is None and state["throttle"] is None
    assert ms.drift({**quiet(), "gpu": state, "gpu_processes": []}, on_gpu()) == []


def test_gpu_processes_but_this_one(monkeypatch):
    fake_smi(monkeypatch, {"--query-compute-apps": f"{os.getpid()}, 500\n77, 900\n"})
    assert ms.gpu_processes(torch.device("cuda:0")) == [{"pid": 77, "memory_mib": 900.0}]


def test_without_nvidia_smi_there_is_no_state(monkeypatch):
    fake_smi(monkeypatch, {})
    assert ms.gpu_state(torch.device("cuda:0")) is None
    assert ms.gpu_processes(torch.device("cuda:0")) == []
