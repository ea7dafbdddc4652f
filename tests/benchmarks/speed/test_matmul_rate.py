import pytest
import torch

from benchmarks.speed import matmul_rate as rates
from benchmarks.speed.matmul_rate import MatmulRate, backends, matmul_rate, rate_facts

CPU = torch.device("cpu")


def test_rate_is_the_products_of_one_call_over_its_median_time_by_the_quickest(monkeypatch):
    times = {"torch.mm": [4.0, 1.0, 2.0], "oneDNN": [1.0, 1.5, 9.0]}
    monkeypatch.setattr(rates, "interleaved", lambda c, e, d: times)
    found = matmul_rate(CPU, "fp32", size=100)
    assert found.by_library == {
        "torch.mm": pytest.approx(100**3 / 0.002),
        "oneDNN": pytest.approx(100**3 / 0.0015),
    }
    assert (found.library, found.per_second) == ("oneDNN", found.by_library["oneDNN"])
    assert found.size == 100


def test_a_cpu_rate_is_measured_by_each_library_of_the_protocol():
    found = matmul_rate(CPU, "fp32", seconds=0.1, size=128)
    assert list(found.by_library) == backends(CPU)["matmul_libraries"]
    assert all(1e7 < rate < 1e14 for rate in found.by_library.values())


@pytest.mark.parametrize(("precision", "dtype"), rates.DTYPES.items())
def test_products_are_of_the_precision_and_of_one_size(monkeypatch, precision, dtype):
    def call(calls, sampling, device):
        products = [of() for of in calls.values()]
        assert {(product.shape, product.dtype) for product in products} == {((8, 8), dtype)}
        return {name: [1.0] for name in calls}

    monkeypatch.setattr(rates, "interleaved", call)
    assert matmul_rate(CPU, precision, size=8).per_second == pytest.approx(8**3 / 1e-3)


def test_what_a_record_says_of_the_rates():
    before, after = MatmulRate({"a": 1.0, "b": 2.0}, 8), MatmulRate({"a": 4.0, "b": 3.0}, 8)
    assert rate_facts([before, after]) == {
        "matmul_rate": 4.0, "matmul_library": "a", "matmul_rates": {"a": 4.0, "b": 3.0},
        "matmul_rate_before": 2.0, "matmul_rate_after": 4.0, "matmul_size": 8,
    }  # fmt: skip


def test_a_slow_machine_gets_a_smaller_product():
    assert rates._size_for(0.0, torch.float32) == 256
    assert rates._size_for(1e9, torch.float32) == 2048
