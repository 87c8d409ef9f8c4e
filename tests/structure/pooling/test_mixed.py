"""Mixed pooling: its limits, what one draw decides, its expectation, and the learned gate."""

import pytest
import torch
from torch.nn import functional

from resnetbook.structure.pooling import AveragePool2d, GatedPool2d, MaxPool2d, MixedPool2d


def maps(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("granularity", ["layer", "zone"])
def test_certain_choices_are_max_and_average(training, granularity):
    x = maps(2, 3, 9, 9)
    for p, wanted in ((1.0, functional.max_pool2d(x, 3, 2, 1)), (0.0, functional.avg_pool2d(x, 3, 2, 1))):
        layer = MixedPool2d(3, 2, 1, p=p, granularity=granularity).train(training)
        torch.testing.assert_close(layer(x), wanted)


def test_evaluation_lies_on_the_line_between():
    x = maps(2, 3, 8, 8)
    wanted = torch.lerp(functional.avg_pool2d(x, 2), functional.max_pool2d(x, 2), 0.3)
    torch.testing.assert_close(MixedPool2d(2, p=0.3).eval()(x), wanted)


def test_a_layer_draws_once_and_a_zone_for_itself():
    torch.manual_seed(0)
    x = maps(2, 3, 8, 8)
    largest, mean = MaxPool2d(2)(x), AveragePool2d(2)(x)
    seen = set()
    for _ in range(40):
        y = MixedPool2d(2)(x)
        seen.add("max" if torch.equal(y, largest) else "mean" if torch.equal(y, mean) else "neither")
        zones = MixedPool2d(2, granularity="zone")(x)
        assert ((zones == largest) | (zones == mean)).all()
        assert not torch.equal(zones, largest)
        assert not torch.equal(zones, mean)
    assert seen == {"max", "mean"}


def test_a_zone_draws_with_its_probability():
    torch.manual_seed(1)
    x = maps(1, 1, 200, 200)
    share = (MixedPool2d(2, p=0.2, granularity="zone")(x) == MaxPool2d(2)(x)).double().mean()
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 10_000) ** 0.5


def test_training_averages_to_evaluation():
    torch.manual_seed(2)
    x = maps(1, 1, 4, 4)
    layer = MixedPool2d(2, p=0.3)
    mean = torch.stack([layer(x) for _ in range(4000)]).mean(0)
    spread = (MaxPool2d(2)(x) - AveragePool2d(2)(x)).abs().max()
    torch.testing.assert_close(mean, layer.eval()(x), rtol=0, atol=float(4 * spread * (0.21 / 4000) ** 0.5))


@pytest.mark.parametrize(("gate", "count"), [("mixed", 1), ("gated", 9)])
def test_the_learned_gate_starts_in_the_middle_and_reaches_both_ends(gate, count):
    x = maps(2, 3, 9, 9).abs()  # so that large weights push every zone the same way
    layer = GatedPool2d(3, 2, gate=gate).double()
    assert sum(p.numel() for p in layer.parameters()) == count
    largest, mean = MaxPool2d(3, 2)(x), AveragePool2d(3, 2)(x)
    torch.testing.assert_close(layer(x), (largest + mean) / 2)
    with torch.no_grad():
        layer.weight.fill_(1000)
        torch.testing.assert_close(layer(x), largest)
        layer.weight.fill_(-1000)
        torch.testing.assert_close(layer(x), mean)


def test_the_gate_is_computed_from_its_own_zone():
    layer = GatedPool2d(2).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -2.0, 0.5, 0.0]))
    x = maps(1, 1, 4, 4)
    zone = x[0, 0, 2:, :2].flatten()
    share = torch.sigmoid(zone @ layer.weight)
    torch.testing.assert_close(layer(x)[0, 0, 1, 0], share * zone.max() + (1 - share) * zone.mean())
    assert torch.autograd.gradcheck(layer, (x.requires_grad_(),))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MixedPool2d(2, p=1.5), "p=1.5"),
        (lambda: MixedPool2d(2, granularity="batch"), "granularity='batch'"),
        (lambda: GatedPool2d(2, gate="tree"), "gate='tree'"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
