"""Deep supervision: where its gradient goes, and that evaluation does not know of it."""

import pytest
import torch

from resnetbook.structure import StructureNet
from resnetbook.structure.fully_connected import ConvolutionalHead, DeepSupervision, fading


def net():
    torch.manual_seed(0)
    return StructureNet(head="deep-supervision", widths=(4, 6, 8), num_classes=3).double()


X = torch.randn(6, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def gradients(model, weights):
    model.zero_grad()
    model.head.loss(model.all_scores(X), LABELS, weights).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_weight_zero_is_the_network_without_companions():
    model = net()
    found = gradients(model, 0.0)
    model.zero_grad()
    torch.nn.functional.cross_entropy(model(X), LABELS).backward()
    for name, parameter in model.named_parameters():
        if "companions" in name or name.startswith(("norms.0", "norms.1")):
            assert found[name].abs().sum() == 0
        else:
            torch.testing.assert_close(found[name], parameter.grad)


def test_the_gradient_is_affine_in_each_weight_and_later_layers_do_not_feel_it():
    model = net()
    none, one, two = gradients(model, [0, 0]), gradients(model, [1, 0]), gradients(model, [2.5, 0])
    for name in none:
        torch.testing.assert_close(two[name], none[name] + 2.5 * (one[name] - none[name]))
    for name in none:
        later = name.startswith(("stages.1", "stages.2", "between", "norms.2", "head.head"))
        assert torch.equal(one[name], none[name]) == (
            later or name.startswith(("norms.1", "head.companions.1"))
        )


def test_evaluation_does_not_ask_the_companions():
    model = net().eval()
    before = model(X)
    with torch.no_grad():
        for companion in model.head.companions:
            companion.score.weight.add_(1)
    assert torch.equal(model(X), before)
    assert torch.equal(model.all_scores(X)[-1], before)


def test_the_loss_is_the_sum_written_out():
    model = net()
    first, second, last = (torch.nn.functional.cross_entropy(s, LABELS) for s in model.all_scores(X))
    found = model.head.loss(model.all_scores(X), LABELS, [0.2, 0.7])
    torch.testing.assert_close(found, last + 0.2 * first + 0.7 * second)


def test_fading_falls_to_nothing_and_stays():
    assert [fading(0.3, step, 10) for step in (0, 5, 10, 99)] == [0.3, pytest.approx(0.15), 0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DeepSupervision((), 2), r"channels=\(\)"),
        (
            lambda: DeepSupervision((4, 4), 2).all_scores([torch.zeros(1, 4, 2, 2)]),
            "maps: 1 given, expected 2",
        ),
        (lambda: net().head.loss(net().all_scores(X), LABELS, [1.0]), r"weights=\[1.0\]: expected 2"),
        (lambda: fading(-1, 0, 1), "start=-1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_its_answer_is_that_of_the_last_head_alone():
    torch.manual_seed(3)
    heads, alone = DeepSupervision((4, 8), 3), ConvolutionalHead(8, 3)
    alone.load_state_dict(heads.head.state_dict())
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(heads(x), alone(x))
    assert heads(x).abs().max() > 0
