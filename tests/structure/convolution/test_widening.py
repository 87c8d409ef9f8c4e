"""Widening: the count in closed form, against the network and the paper."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnetbook.structure.convolution.widening import WideResNet, wide_parameters


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(2, 12), st.integers(1, 3))
def test_the_closed_form_counts_the_network(n, factor, classes, channels):
    net = WideResNet(6 * n + 4, factor, num_classes=classes, in_channels=channels)
    counted = sum(p.numel() for p in net.parameters())
    assert wide_parameters(6 * n + 4, factor, num_classes=classes, in_channels=channels) == counted


@pytest.mark.parametrize(
    ("depth", "factor", "millions"), [(28, 10, 36.5), (40, 4, 8.9), (16, 8, 11.0), (16, 4, 2.7), (40, 2, 2.2)]
)
def test_the_papers_table(depth, factor, millions):
    assert wide_parameters(depth, factor) / 1e6 == pytest.approx(millions, abs=0.06)


def test_growth_is_quadratic_in_width_and_linear_in_depth():
    ratios = [wide_parameters(28, 2 * k) / wide_parameters(28, k) for k in (1, 4, 16, 64)]
    assert ratios == sorted(ratios)
    assert ratios[-1] == pytest.approx(4, rel=1e-2)
    steps = {wide_parameters(depth + 6, 4) - wide_parameters(depth, 4) for depth in (10, 16, 22, 28)}
    assert len(steps) == 1


@pytest.mark.parametrize(("arguments", "message"), [((27, 2), "depth=27"), ((28, 0), "factor=0")])
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        wide_parameters(*arguments)
