"""Networks with several outputs: against the weighted sum written out, or refused with what to pass."""

from __future__ import annotations

import copy
from collections import OrderedDict
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from resnetbook.lab.training import Settings, batches, evaluate, fit, seed_everything
from resnetbook.timeline import create_model
from resnetbook.timeline.googlenet import GoogLeNet
from resnetbook.timeline.inception import InceptionV3

SETTINGS = Settings(epochs=2, batch_size=4, learning_rate=0.02, schedule="constant", device="cpu")


def images(count: int = 8, pixels: int = 16) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(0)
    return SimpleNamespace(
        images=torch.randn(count, 1, pixels, pixels, generator=generator), labels=torch.arange(count) % 3
    )


class Heads(NamedTuple):
    logits: Tensor
    early: Tensor


class TwoHeads(nn.Module):
    """Two classifiers, in training both; `form` says how they come back."""

    def __init__(self, form: str, always: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.form, self.always = form, always
        self.body, self.early, self.late = nn.Linear(256, 8), nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x: Tensor):
        x = self.body(x.flatten(1)).relu()
        late, early = self.late(x), self.early(x)
        if not (self.training or self.always):
            return late
        return {
            "a named tuple": Heads(late, early),
            "a tuple": (late, early),
            "a list": [late, early],
            "a mapping": OrderedDict(out=late, early=early),
            "a mapping of other names": {"early": early, "late": late},
            "a tuple with nothing in it": (late, None),
            "a tuple of lists": (late, [early]),
            "no tensor": "late",
        }[self.form]


def by_hand(model: nn.Module, train: SimpleNamespace, total) -> list[Tensor]:
    """Train a copy with the loss `total(outputs, labels)`, and return its weights."""
    model = copy.deepcopy(model)
    seed_everything(0)
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9, weight_decay=1e-4)
    model.train()
    for epoch in range(2):
        for batch in batches(len(train.images), 4, seed=0, epoch=epoch):
            loss = total(model(train.images[batch]), train.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return list(model.state_dict().values())


def assert_equal(model: nn.Module, expected: list[Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), expected, strict=True))


def test_googlenet_trains_with_the_weights_of_the_paper():
    torch.manual_seed(0)
    model, data = create_model("googlenet", num_classes=3, in_channels=1), images()

    def total(outputs, y):
        parts = [cross_entropy(head, y) for head in outputs]
        return parts[0] + 0.3 * parts[1] + 0.3 * parts[2]

    expected = by_hand(model, data, total)
    history = fit(model, data, data, settings=SETTINGS, progress=False)
    assert_equal(model, expected)
    found = evaluate(model, data, device="cpu")
    assert history.last["validation_loss"] == found["loss"]
    assert history.last["validation_accuracy"] == found["accuracy"]
    assert 0 <= history.last["train_accuracy"] <= 1


def test_declared_weights_name_the_auxiliary_outputs():
    for network, name in ((GoogLeNet, "Outputs"), (InceptionV3, "InceptionOutputs")):
        module = __import__(network.__module__, fromlist=[name])
        assert list(network.aux_weights) == list(getattr(module, name)._fields[1:])
    assert set(GoogLeNet.aux_weights.values()) == {0.3}
    assert InceptionV3.aux_weights == {"aux_logits": 0.4}


WEIGHTED = {
    "a named tuple": {"early": 0.3},
    "a tuple": {"1": 0.3},
    "a list": {"1": 0.3},
    "a mapping": {"early": 0.3},
    "a mapping of other names": {"early": 0.3},
    "a tuple of lists": {"1.0": 0.3},
}


@pytest.mark.parametrize("form", WEIGHTED)
@pytest.mark.parametrize("within", [False, True])
def test_declared_weights_are_used(form, within):
    model, data = TwoHeads(form), images()

    def total(outputs, y):
        late, early = outputs
        return cross_entropy(late, y) + 0.3 * cross_entropy(early, y)

    expected = by_hand(TwoHeads("a tuple"), data, total)
    model.aux_weights = WEIGHTED[form]
    history = fit(
        nn.Sequential(nn.Identity(), model) if within else model,
        data,
        data,
        settings=SETTINGS,
        progress=False,
    )
    assert_equal(model, expected)
    hits = (model.eval()(data.images).argmax(1) == data.labels).double().mean().item()
    assert history.last["validation_accuracy"] == pytest.approx(hits)
    model.always = True  # evaluated by its main output alone
    again = evaluate(model, data, device="cpu")
    assert (again["loss"], again["accuracy"]) == (
        history.last["validation_loss"], history.last["validation_accuracy"],
    )  # fmt: skip


@pytest.mark.parametrize("form", WEIGHTED)
def test_a_loss_that_takes_all_outputs_gets_them(form):
    model, data = TwoHeads(form), images()
    seen = []

    def loss(outputs, y):
        seen.append(type(outputs))
        heads = list(outputs.values()) if isinstance(outputs, dict) else outputs
        heads = (heads[0], heads[1][0]) if form == "a tuple of lists" and isinstance(heads, tuple) else heads
        if isinstance(heads, Tensor):
            return cross_entropy(heads, y)
        return sum(weight * cross_entropy(head, y) for weight, head in zip((1.0, 0.5), heads, strict=True))

    expected = by_hand(model, data, loss)
    seen.clear()
    model.aux_weights = {"early": 9.0}  # what the loss says counts more
    history = fit(model, data, data, settings=SETTINGS, loss=loss, progress=False)
    assert_equal(model, expected)
    assert len(seen) == 4 + 1 + 2  # steps, one look ahead at the validation, validations
    assert seen[0] is type(model.train()(data.images))
    assert "validation_accuracy" in history.last


@pytest.mark.parametrize("form", WEIGHTED)
@pytest.mark.parametrize("loss", [cross_entropy, nn.CrossEntropyLoss(), lambda o, y: cross_entropy(o, y)])
def test_several_outputs_without_weights_are_refused(form, loss):
    model = TwoHeads(form)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(
        ValueError, match=r"model: TwoHeads returns .* 2 tensors .*expected.*aux_weights = \{"
    ):
        fit(model, images(), settings=SETTINGS, loss=loss, progress=False)
    assert_equal(model, list(before.values()))
    assert evaluate(model, images(), device="cpu", loss=loss)["loss"] > 0  # one output
    model.always = True
    if form in ("a named tuple", "a mapping"):  # which is the main one, its name says
        assert evaluate(model, images(), device="cpu", loss=loss)["loss"] > 0
    else:
        with pytest.raises(ValueError, match="2 tensors"):
            evaluate(model, images(), device="cpu", loss=loss)


def test_weights_of_other_names_are_refused():
    model = TwoHeads("a named tuple")
    model.aux_weights = {"aux": 0.3}
    with pytest.raises(ValueError, match=r"returns Heads with 2 tensors \(logits, early\)"):
        fit(model, images(), settings=SETTINGS, progress=False)


def test_one_tensor_among_other_things_is_the_output():
    model, data = TwoHeads("a tuple with nothing in it"), images()
    expected = by_hand(model, data, lambda outputs, y: cross_entropy(outputs[0], y))
    model.early.requires_grad_(False)
    fit(model, data, settings=SETTINGS, progress=False)
    assert_equal(model, expected)
    with pytest.raises(ValueError, match="returns str with no tensor"):
        fit(TwoHeads("no tensor"), data, settings=SETTINGS, progress=False)


def test_a_loss_that_fails_on_the_validations_output_is_found_before_the_first_update():
    model = TwoHeads("a named tuple")
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(AttributeError, match="early"):
        fit(
            model, images(), images(), settings=SETTINGS, progress=False,
            loss=lambda outputs, y: cross_entropy(outputs.logits, y) + cross_entropy(outputs.early, y)
            if model.training else outputs.early,
        )  # fmt: skip
    assert_equal(model, list(before.values()))


def test_torchvisions_networks():
    """Its GoogLeNet declares no weights, its segmentation networks have one output without auxiliary head."""
    torch.manual_seed(0)
    theirs = torchvision.models.googlenet(num_classes=3, aux_logits=True, init_weights=False)
    data = images(4, 64)
    data.images = data.images.expand(-1, 3, -1, -1)
    settings = Settings(epochs=1, batch_size=4, device="cpu")
    with pytest.raises(ValueError, match=r"GoogLeNet.*3 tensors \(logits, aux_logits2, aux_logits1\)"):
        fit(theirs, data, settings=settings, progress=False)
    theirs.aux_weights = {"aux_logits2": 0.3, "aux_logits1": 0.3}
    assert fit(theirs, data, data, settings=settings, progress=False).last["train_loss"] > 0
    masks = SimpleNamespace(images=data.images[:2], labels=torch.randint(0, 2, (2, 64, 64)))
    network = torchvision.models.segmentation.lraspp_mobilenet_v3_large(num_classes=2, weights_backbone=None)
    row = fit(network, masks, masks, settings=settings, progress=False).last
    assert 0 <= row["validation_accuracy"] <= 1
