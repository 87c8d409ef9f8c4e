"""Memory is counted, not measured: known tensors give known bytes."""

import torch

from resnetbook.lab.memory import peak_memory


def test_peak_memory_of_known_tensors():
    """Two tensors of 4,000 bytes alive at one time, three made."""
    x = torch.ones(1000)

    def work():
        y = x + 1
        z = y * 2
        del y
        return z + 1

    assert peak_memory(work) == 8000
    assert peak_memory(lambda: x.view(10, 100)) == 0
