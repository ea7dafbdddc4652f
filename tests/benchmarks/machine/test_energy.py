"""Energy by counters: files as the kernel makes them, NVML's own module, no estimates."""

from __future__ import annotations

import ctypes
import sys
import time
import types

import pytest
import torch

from benchmarks.machine import energy
from benchmarks.machine.energy import (
    INSTALL,
    Counter,
    Meter,
    NotMeasurableError,
    energy_of,
    idle_watts,
    make_meter,
    watched,
)

SPAN = 262143328850  # microjoules, of a real package
CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def powercap(tmp_path):
    """``/sys/class/powercap`` of a machine with one package, its cores and memory, and psys."""
    root = tmp_path / "devices/virtual/powercap"
    folder = tmp_path / "class/powercap"
    folder.mkdir(parents=True)

    def zone(path, name):
        made = root / path
        made.mkdir(parents=True)
        (made / "name").write_text(f"{name}\n")
        (made / "energy_uj").write_text("1000000\n")
        (made / "max_energy_range_uj").write_text(f"{SPAN}\n")
        (folder / made.name).symlink_to(made)

    zone("intel-rapl/intel-rapl:0", "package-0")
    zone("intel-rapl/intel-rapl:0/intel-rapl:0:0", "core")
    zone("intel-rapl/intel-rapl:0/intel-rapl:0:1", "dram")
    zone("intel-rapl/intel-rapl:1", "psys")
    zone("intel-rapl-mmio/intel-rapl-mmio:0", "package-0")
    for control in ("intel-rapl", "intel-rapl-mmio"):
        (root / control / "enabled").write_text("1\n")
        (folder / control).symlink_to(root / control)
    return folder


def count(powercap, zone, joules):
    (powercap / zone / "energy_uj").write_text(f"{round(joules * 1e6)}\n")


def test_packages_and_memory_are_counted_once(powercap):
    meter = make_meter(CPU, powercap=powercap)
    assert meter.name == "RAPL: package-0 (intel-rapl:0), dram (intel-rapl:0:1)"
    assert meter.joules() == 0
    for zone in ("intel-rapl:0:0", "intel-rapl:1", "intel-rapl-mmio:0"):
        count(powercap, zone, 500)  # part of the package, all of the machine, the package again
    count(powercap, "intel-rapl:0", 11)
    count(powercap, "intel-rapl:0:1", 4)
    assert meter.joules() == pytest.approx(10 + 3)


def test_a_counter_that_wraps_around_goes_on(powercap):
    count(powercap, "intel-rapl:0", SPAN / 1e6 - 5)
    meter = make_meter(CPU, powercap=powercap)
    count(powercap, "intel-rapl:0", 7)
    assert meter.joules() == pytest.approx(12)
    count(powercap, "intel-rapl:0", 3)  # once more around
    assert meter.joules() == pytest.approx(12 + SPAN / 1e6 - 4)


def test_in_a_long_block_no_wrap_is_missed(powercap):
    meter = make_meter(CPU, powercap=powercap)
    seen = []
    original = meter.joules
    meter.joules = lambda: seen.append(original()) or seen[-1]
    with watched(meter, every=0.01):
        for joules in (SPAN / 1e6 - 1, 2, SPAN / 1e6 - 1, 2):
            count(powercap, "intel-rapl:0", joules)
            looked = len(seen)
            deadline = time.monotonic() + 10
            while len(seen) < looked + 2 and time.monotonic() < deadline:
                time.sleep(0.005)
    assert original() == pytest.approx(2 * SPAN / 1e6 + 1)


def test_a_machine_without_counters_or_the_right_to_them_says_so(powercap, tmp_path):
    with pytest.raises(NotMeasurableError, match="shows no energy counters"):
        make_meter(CPU, powercap=tmp_path / "none")
    file = powercap / "intel-rapl:0" / "energy_uj"
    file.unlink()
    file.mkdir()  # as unreadable as what belongs to root
    with pytest.raises(NotMeasurableError, match=r"package-0 .* cannot be read: "):
        make_meter(CPU, powercap=powercap)


def test_where_energy_cannot_be_measured_the_record_says_why(monkeypatch):
    def refuse(device):
        raise NotMeasurableError("no counters")

    monkeypatch.setattr(energy, "make_meter", refuse)
    assert energy_of(lambda: None, 1, CPU) == {"why_not": "no counters"}


class Driver:
    """The C functions of a driver with two GPUs, which NVML's real module calls."""

    def __init__(self, codes):
        self.millijoules = {b"GPU-a": 5_000, b"GPU-b": 1_000}
        self.codes, self.init, self.energy = codes, codes.NVML_SUCCESS, codes.NVML_SUCCESS

    def nvmlInitWithFlags(self, flags):
        return self.init

    def nvmlDeviceGetHandleByUUID(self, uuid, out):
        if uuid.value not in self.millijoules:
            return self.codes.NVML_ERROR_NOT_FOUND
        place = list(self.millijoules).index(uuid.value) + 1
        ctypes.cast(out, ctypes.POINTER(ctypes.c_void_p))[0] = place
        return self.codes.NVML_SUCCESS

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, out):
        place = ctypes.cast(handle, ctypes.c_void_p).value - 1
        out._obj.value = list(self.millijoules.values())[place]
        return self.energy


@pytest.fixture
def nvml(monkeypatch):
    """NVML's own Python module, above the functions of a driver that is not there."""
    import pynvml

    driver = Driver(pynvml)
    monkeypatch.setattr(pynvml, "nvmlLib", driver)
    monkeypatch.setattr(pynvml, "_LoadNvmlLibrary", lambda: None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda k: types.SimpleNamespace(uuid="abc"[k])
    )
    return driver


def test_gpus_are_counted_by_nvml_in_millijoules(nvml):
    one, both = make_meter(GPU), make_meter(GPU, 2)
    second = make_meter(torch.device("cuda:1"), 2)
    nvml.millijoules.update({b"GPU-a": 6_500, b"GPU-b": 1_250})
    assert (one.joules(), both.joules(), second.joules()) == (1.5, 1.75, 0.25)
    assert both.name == "NVML: GPU 0, GPU 1"


def test_a_gpu_that_does_not_count_or_a_driver_set_back_is_said(nvml):
    meter = make_meter(GPU)
    nvml.millijoules[b"GPU-a"] = 0
    with pytest.raises(NotMeasurableError, match="counter of GPU 0 was set back"):
        meter.joules()
    nvml.energy = nvml.codes.NVML_ERROR_NOT_SUPPORTED  # before Volta
    with pytest.raises(NotMeasurableError, match="GPU 0 cannot be read: Not Supported"):
        make_meter(GPU)
    with pytest.raises(NotMeasurableError, match="NVML: Not Found"):
        make_meter(torch.device("cuda:2"))
    nvml.init = nvml.codes.NVML_ERROR_DRIVER_NOT_LOADED
    with pytest.raises(NotMeasurableError, match="NVML: Driver Not Loaded"):
        make_meter(GPU)


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(NotMeasurableError) as told:
        make_meter(GPU)
    assert str(told.value) == INSTALL


def test_joules_a_frame_and_idle_power_apart(monkeypatch):
    work = {"done": 0.0}

    def counted():  # 40 W idle, and half a joule a frame
        return 40 * time.perf_counter() + work["done"]

    def call():
        time.sleep(0.002)
        work["done"] += 5.0

    monkeypatch.setattr(energy, "make_meter", lambda device: Meter("X", [Counter("x", counted)]))
    monkeypatch.setattr(energy, "IDLE_SECONDS", 0.05)
    assert idle_watts(Meter("X", [Counter("x", counted)]), 0.05) == pytest.approx(40, rel=0.01)
    told = energy_of(call, 10, CPU, seconds=0.1)
    assert told["idle_watts"] == pytest.approx(40, rel=0.01)
    above = told["joules_per_frame"] - 40 * told["seconds"] / told["frames"]
    assert above == pytest.approx(0.5, rel=0.01)
    assert told["watts"] == pytest.approx(told["joules_per_frame"] * told["frames"]
                                          / told["seconds"])  # fmt: skip
