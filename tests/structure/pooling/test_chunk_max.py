"""Chunk-max pooling: the chunks are a partition, unlike the bins of adaptive pooling."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from resnetbook.structure.pooling import ChunkMaxPool1d, ChunkMaxPool2d


def sequence(length, seed=0):
    return torch.randn(2, 3, length, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_even_chunks_are_max_pooling(chunks, width, seed):
    x = sequence(chunks * width, seed)
    y = ChunkMaxPool1d(chunks)(x)
    assert torch.equal(y, functional.max_pool1d(x, width))
    assert torch.equal(y, functional.adaptive_max_pool1d(x, chunks))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.data())
def test_each_value_counts_in_one_chunk(length, data):
    chunks = data.draw(st.integers(1, length))
    place = data.draw(st.integers(0, length - 1))
    x = torch.zeros(1, 1, length, dtype=torch.float64)
    x[..., place] = 1
    assert ChunkMaxPool1d(chunks)(x).sum() == 1


def test_uneven_chunks_differ_from_adaptive_pooling():
    x = torch.zeros(1, 1, 5)
    x[..., 1] = 1
    assert ChunkMaxPool1d(3)(x).flatten().tolist() == [1, 0, 0]
    assert functional.adaptive_max_pool1d(x, 3).flatten().tolist() == [1, 1, 0], "its bins overlap"


def test_limits():
    x = sequence(7)
    assert torch.equal(ChunkMaxPool1d(7)(x), x)
    assert torch.equal(ChunkMaxPool1d(1)(x), x.amax(-1, keepdim=True))


def test_rectangles_of_a_map():
    x = torch.randn(2, 3, 7, 9, generator=torch.Generator().manual_seed(2))
    y = ChunkMaxPool2d((2, 3))(x)
    for i, rows in enumerate((slice(0, 4), slice(4, 7))):
        for j in range(3):
            assert torch.equal(y[..., i, j], x[..., rows, 3 * j : 3 * j + 3].amax((2, 3)))


def test_gradient():
    assert torch.autograd.gradcheck(ChunkMaxPool1d(3), (sequence(7).requires_grad_(),))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ChunkMaxPool1d(0), "chunks=0"),
        (lambda: ChunkMaxPool1d(5)(torch.zeros(1, 1, 4)), "chunks=5: expected at most the length, 4"),
        (lambda: ChunkMaxPool2d((0, 1)), "rows=0"),
        (lambda: ChunkMaxPool1d(1)(torch.zeros(4)), r"\(4,\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
