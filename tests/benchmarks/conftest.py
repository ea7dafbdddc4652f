import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tests share the machine; several threads a process would make each other wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
