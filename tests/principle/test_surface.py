import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from resnetbook.principle.surface import filter_normalised_direction, loss_surface, offsets
from resnetbook.principle.twins import TwinNet


def small_net() -> TwinNet:
    torch.manual_seed(0)
    return TwinNet(8, widths=(4, 6, 8))


def test_each_filter_of_the_direction_has_the_norm_of_the_network_s() -> None:
    net = small_net()
    with torch.no_grad():
        net.conv1.weight[2] *= 30.0
    direction = filter_normalised_direction(net, torch.Generator().manual_seed(1))
    assert set(direction) == {name for name, _ in net.named_parameters()}
    for name, parameter in net.named_parameters():
        if parameter.dim() < 2:
            assert direction[name].abs().max() == 0
            continue
        torch.testing.assert_close(
            direction[name].flatten(1).norm(dim=1), parameter.detach().flatten(1).norm(dim=1)
        )
        cosine = functional.cosine_similarity(direction[name].flatten(), parameter.detach().flatten(), dim=0)
        assert cosine.abs() < 0.5  # a direction of its own, not the weights again


def test_the_generator_decides_the_direction() -> None:
    net = small_net()
    first, same, other = (
        filter_normalised_direction(net, torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert torch.equal(first["conv1.weight"], same["conv1.weight"])
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_a_known_quadratic_is_reproduced() -> None:
    model = nn.Linear(2, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -1.0]]))
    first, second = {"weight": torch.tensor([[1.0, 0.0]])}, {"weight": torch.tensor([[0.0, 2.0]])}
    first, second = ({k: v.double() for k, v in d.items()} for d in (first, second))

    def loss(net: nn.Module) -> torch.Tensor:
        return net.weight[0, 0] ** 2 + 5 * net.weight[0, 1] ** 2

    line = offsets(1.5, 7)
    expected = (3 + line[:, None]) ** 2 + 5 * (-1 + 2 * line[None, :]) ** 2
    np.testing.assert_allclose(loss_surface(model, loss, [first, second], 1.5, 7), expected, rtol=1e-12)
    np.testing.assert_allclose(loss_surface(model, loss, first, 1.5, 7), (3 + line) ** 2 + 5, rtol=1e-12)


def test_the_middle_is_the_loss_and_everything_is_put_back() -> None:
    net = small_net().train()
    x, y = torch.randn(16, 1, 8, 8), torch.arange(16) % 10

    def loss(model: nn.Module) -> torch.Tensor:
        return functional.cross_entropy(model(x), y)

    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        here = loss(net).item()
    net.load_state_dict(before)
    surface = loss_surface(net, loss, filter_normalised_direction(net), 0.5, 5)
    assert surface[2] == here
    assert len(set(surface)) == 5
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())

    def fails(model: nn.Module) -> float:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        loss_surface(net, fails, filter_normalised_direction(net), 0.5, 5)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_scaling_a_normalised_filter_leaves_the_surface_where_it_is() -> None:
    # The reason for the normalisation: conv1's filters come before batch normalisation, so their size means nothing.
    x, y = torch.randn(16, 1, 8, 8, dtype=torch.float64), torch.arange(16) % 10

    def surface(factor: float) -> np.ndarray:
        net = small_net().double().train()
        net.bn1.eps = 1e-12
        with torch.no_grad():
            net.conv1.weight *= factor
        direction = filter_normalised_direction(net, torch.Generator().manual_seed(1))
        return loss_surface(net, lambda m: functional.cross_entropy(m(x), y), direction, 1.0, 5)

    np.testing.assert_allclose(surface(50.0), surface(1.0), rtol=1e-6)


def test_offsets_have_an_exact_zero() -> None:
    assert offsets(1.0, 5).tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert offsets(3.0, 3).tolist() == [-3.0, 0.0, 3.0]
    np.testing.assert_allclose(offsets(), np.linspace(-1, 1, 21), atol=1e-15)


def test_a_span_of_1_in_21_steps_when_nothing_is_said() -> None:
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    direction = {"weight": torch.ones(1, 1, dtype=torch.float64)}
    found = loss_surface(model, lambda net: net.weight[0, 0], direction)
    np.testing.assert_allclose(found, np.linspace(-1, 1, 21), atol=1e-15)
    assert loss_surface(model, lambda net: net.weight[0, 0], direction, steps=3).tolist() == [-1.0, 0.0, 1.0]


def test_the_middle_is_the_network_whatever_the_direction_holds() -> None:
    """0 times infinity is not a number: at the middle nothing is added at all."""
    model = nn.Linear(2, 1, bias=False)
    nn.init.ones_(model.weight)
    direction = {"weight": torch.tensor([[float("inf"), 1.0]])}
    found = loss_surface(model, lambda net: net.weight[0, 0], [direction, direction], steps=3)
    assert found[1, 1] == 1.0
    assert np.isinf(found[1, 0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"span": 0.0}, "span=0.0"),
        ({"steps": 4}, "steps=4"),
        ({"steps": 1}, "steps=1"),
        ({"directions": []}, "0 dir"),
    ],
)
def test_bad_input(changes: dict, words: str) -> None:
    net = small_net()
    arguments = {"directions": filter_normalised_direction(net), "span": 1.0, "steps": 3, **changes}
    with pytest.raises(ValueError, match=words):
        loss_surface(net, lambda model: 0.0, **arguments)


def test_directions_of_another_model_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        loss_surface(small_net(), lambda model: 0.0, {"weight": torch.zeros(1, 2)})
    with pytest.raises(ValueError, match="no filter"):
        filter_normalised_direction(nn.BatchNorm1d(3))
