import pytest
import torch

from benchmarks.speed import matmul_rate as rates
from benchmarks.speed.matmul_rate import matmul_rate

CPU = torch.device("cpu")


def test_rate_is_the_products_of_one_call_over_its_median_time(monkeypatch):
    monkeypatch.setattr(rates, "interleaved", lambda c, e, d: {"matmul": [4.0, 1.0, 2.0]})
    found = matmul_rate(CPU, "fp32", size=100)
    assert found.per_second == pytest.approx(100**3 / 0.002)
    assert found.size == 100 and found.samples_ms == [4.0, 1.0, 2.0]


def test_a_cpu_rate_is_measured():
    found = matmul_rate(CPU, "fp32", seconds=0.1, size=128)
    assert 1e7 < found.per_second < 1e14 and len(found.samples_ms) >= 5


@pytest.mark.parametrize(("precision", "dtype"), rates.DTYPES.items())
def test_precision_is_that_of_the_product(monkeypatch, precision, dtype):
    seen = []
    monkeypatch.setattr(rates.torch, "mm", lambda a, b, out: seen.append((a.dtype, out.dtype)))
    matmul_rate(CPU, precision, seconds=0.0, size=8)
    assert set(seen) == {(dtype, dtype)}


def test_a_slow_machine_gets_a_smaller_product():
    assert rates._size_for(0.0, torch.float32) == 256
    assert rates._size_for(1e9, torch.float32) == 2048
