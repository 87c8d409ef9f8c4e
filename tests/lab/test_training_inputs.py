"""What a network or a loss cannot take is said in one ValueError before the first update, and the model is untouched."""

from __future__ import annotations

import copy
import math
import warnings
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import cross_entropy, one_hot

from resnetbook.lab.training import Settings, batches, evaluate, fit

SETTINGS = Settings(epochs=1, batch_size=8, learning_rate=0.05, device="cpu")
X = torch.randn(20, 1, 6, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(20) % 3
LATER = int(batches(20, 8, seed=0, epoch=0)[-1][-1])  # an image that no training sees in its first batch
MANY = (
    torch.rand(20, 3, generator=torch.Generator().manual_seed(1)) > 0.6
).float()  # several labels an image


def part(images: Any, labels: Any) -> SimpleNamespace:
    return SimpleNamespace(images=images, labels=labels)


def network(outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, outputs))


def changed(values: Tensor, index: Any, value: float) -> Tensor:
    values = values.clone()
    values[index] = value
    return values


class Steps:
    def __init__(self) -> None:
        self.count = 0

    def on_step_end(self, step, model, loss):
        self.count += 1


def assert_refused(
    model: nn.Module, message: str, train: Any, validation: Any = None, **options: Any
) -> None:
    """Refused by `fit` before the first update, with the model as it was."""
    before, steps = copy.deepcopy(model.state_dict()), Steps()
    with pytest.raises(ValueError, match=message):
        fit(model, train, validation, settings=SETTINGS, callbacks=[steps], progress=False, **options)
    assert steps.count == 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


IMAGES = {
    "uint8": (X.mul(50).to(torch.uint8), r"images of torch.uint8; expected torch.float32.*images.float\(\) / 255"),
    "int64": (X.long(), "images of torch.int64; expected torch.float32"),
    "bool": (X > 0, "images of torch.bool; expected torch.float32"),
    "float64": (X.double(), r"images of torch.float64; expected torch.float32.*images.to\(torch.float32\)"),
    "float16": (X.half(), "images of torch.float16; expected torch.float32"),
    "NaN": (changed(X, (3, 0, 1, 1), math.nan), "1 of 20 images hold NaN or infinite values, the first at index 3"),
    "infinite": (changed(changed(X, 7, -math.inf), (3, 0, 1, 1), math.inf), "2 of 20 images .* index 3"),
    "an array": (X.numpy(), "its images: expected a torch.Tensor, found ndarray"),
    "a vector": (X[:, 0, 0, 0], r"images \(20,\) and labels \(20,\); expected"),
}  # fmt: skip


@pytest.mark.parametrize("kind", IMAGES)
def test_images_of_another_form_are_refused(kind):
    images, message = IMAGES[kind]
    assert_refused(network(), "train: " + message, part(images, Y))
    assert_refused(network(), "validation: " + message, part(X, Y), part(images, Y))
    with pytest.raises(ValueError, match="part: " + message):
        evaluate(network(), part(images, Y), device="cpu")


LABELS = {
    "floats": (Y.float(), r"labels \(N,\) of torch.float32 with outputs \(N, 3\).*expected.*\(N,\) of torch.int64, 0 to 2"),
    "int32": (Y.int(), r"labels \(N,\) of torch.int32.*expected.*torch.int64"),
    "bool": (Y > 0, r"labels \(N,\) of torch.bool.*expected.*torch.int64"),
    "a column": (Y[:, None], r"labels \(N, 1\) of torch.int64.*expected.*\(N,\) of torch.int64"),
    "a column of floats": (Y[:, None].float(), r"labels \(N, 1\) of torch.float32.*expected"),
    "one-hot integers": (one_hot(Y, 3), r"labels \(N, 3\) of torch.int64.*expected.*\(N, 3\) of floats"),
    "one-hot of more classes": (one_hot(Y, 4).float(), r"labels \(N, 4\).*expected.*\(N, 3\) of floats"),
    "the last too large": (changed(Y, 19, 7), "labels from 0 to 7; expected 0 to 2, since the model has 3 outputs"),
    "from 1": (Y + 1, "labels from 1 to 3; expected 0 to 2"),
    "negative": (changed(Y, 0, -1), "labels from -1 to 2; expected 0 to 2"),
    "one-hot of 255": (one_hot(Y, 3) * 255.0, "labels from 0 to 255; expected 0 to 1"),
    "several labels an image": (MANY, r"labels \(N, 3\) that add up to 0 to [23]; expected 1.*binary_cross_entropy_with_logits"),
    "one image with two labels": (changed(one_hot(Y, 3).float(), (LATER, slice(None)), 1), r"labels \(N, 3\) that add up to 1 to 3; expected 1"),
    "an image without a label": (changed(one_hot(Y, 3).float(), LATER, 0), r"labels \(N, 3\) that add up to 0 to 1; expected 1"),
    "NaN": (changed(one_hot(Y, 3).float(), 5, math.nan), "1 of 20 labels hold NaN"),
    "a list": (Y.tolist(), "its labels: expected a torch.Tensor, found list"),
    "a number": (torch.tensor(3), r"images \(20, 1, 6, 6\) and labels \(\)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_another_form_are_refused(kind):
    labels, message = LABELS[kind]
    assert_refused(network(), "train: " + message, part(X, labels))
    assert_refused(network(), "validation: " + message, part(X, Y), part(X, labels))
    with pytest.raises(ValueError, match="part: " + message):
        evaluate(network(), part(X, labels), device="cpu")


OTHER_LOSSES = {
    "several labels, integers": (3, MANY.long(), nn.BCEWithLogitsLoss(), r"labels \(N, 3\) of torch.int64.*floats from 0 to 1"),
    "several labels, one too many": (3, one_hot(Y, 4).float(), nn.BCEWithLogitsLoss(), r"labels \(N, 4\).*\(N, 3\) of floats"),
    "several labels, 0 to 2": (3, 2 * MANY, nn.BCEWithLogitsLoss(), "labels from 0 to 2; expected 0 to 1"),
    "one output and no column": (1, MANY[:, 0], nn.BCEWithLogitsLoss(), r"labels \(N,\).*outputs \(N, 1\).*\(N, 1\) of floats"),
    "shares from logits": (3, MANY, functional.binary_cross_entropy, "binary_cross_entropy"),
    "a regression that would spread": (1, X[:, 0, 0, 0], functional.mse_loss, r"labels \(N,\).*expected.*the outputs' form"),
    "the same within a function": (1, X[:, 0, 0, 0], lambda o, y: functional.l1_loss(o, y), "the outputs' form"),
    "a class too much in a later batch": (3, changed(Y, LATER, 7), lambda o, y: cross_entropy(o, y), "labels from 0 to 7; expected 0 to 2"),
    "a loss for each image": (3, Y, nn.CrossEntropyLoss(reduction="none"), r"loss: CrossEntropyLoss returned a tensor \(8,\); expected one number"),
    "a loss that is no tensor": (3, Y, lambda o, y: 0.5, "loss: <lambda> returned float; expected one number"),
    "a loss of no weight": (3, Y, lambda o, y: cross_entropy(o.detach(), y), "does not depend on any weight"),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHER_LOSSES)
def test_what_other_losses_do_not_take_is_refused(kind):
    outputs, labels, loss, message = OTHER_LOSSES[kind]
    assert_refused(network(outputs), message, part(X, labels), loss=loss)


def test_what_is_no_part_is_refused():
    for wrong in ((X, Y), torch.utils.data.TensorDataset(X, Y), None):
        with pytest.raises(
            ValueError, match=f"train: .*expected a torch.Tensor, found {type(wrong).__name__}"
        ):
            fit(network(), wrong, settings=SETTINGS)  # type: ignore[arg-type]


def test_validation_images_of_another_size_are_refused():
    assert_refused(
        network(),
        r"validation: images \(N, 1, 5, 5\), on which Sequential fails.*expected images \(N, 1, 6, 6\)",
        part(X, Y),
        part(X[:, :, :5, :5], Y),
    )


def test_a_network_without_a_weight_to_train_is_refused():
    assert_refused(network().requires_grad_(False), "requires a gradient", part(X, Y))


class Scaled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float() / 255


def trained(model: nn.Module, train: Any, validation: Any = None, **options: Any) -> dict[str, float]:
    return fit(model, train, validation, settings=SETTINGS, progress=False, **options).last


def test_other_types_pass_where_the_model_or_the_augmentation_takes_them():
    bytes_ = X.mul(50).abs().to(torch.uint8)
    row = trained(nn.Sequential(Scaled(), network()), part(bytes_, Y), part(bytes_, Y))
    other = trained(network(), part(bytes_, Y), part(bytes_ / 255, Y), augment=lambda x, generator: x / 255)
    assert other["validation_loss"] == pytest.approx(row["validation_loss"], rel=1e-5)
    assert_refused(
        network(), "validation: images of torch.uint8", part(bytes_, Y), part(bytes_, Y),
        augment=lambda x, generator: x / 255,
    )  # fmt: skip
    words = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(12, 3))
    assert trained(words, part(torch.randint(5, (20, 3)), Y))["train_loss"] > 0
    assert trained(network().double(), part(X.double(), Y))["train_loss"] > 0
    assert trained(network(), part(X, Y.to(torch.uint8))) | {"seconds": 0} == trained(
        network(), part(X, Y)
    ) | {"seconds": 0}


def test_numbers_as_large_as_their_type_holds_are_finite():
    large = X.abs().clamp(1, 3) * 1e38  # their sum is beyond that range
    assert_refused(network(), "1 of 20 images hold NaN", part(changed(large, (4, 0, 0, 0), math.nan), Y))
    evaluate(nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), part(large, Y), device="cpu")


# ---- accuracy: defined, or left out


def by_hand(model: nn.Module, labels: Tensor, kind: str) -> float:
    with torch.no_grad():
        scores = model.eval()(X)
    if kind == "each label":
        hits = (scores > 0) == (labels > 0.5)
    else:
        hits = scores.argmax(1) == (labels if labels.ndim == 1 else labels.argmax(1))
    return hits.double().mean().item()


LOGITS, SHARES = nn.BCEWithLogitsLoss(), lambda o, y: functional.binary_cross_entropy(o.sigmoid(), y)
DEFINED = {
    "one-hot": (3, one_hot(Y, 3).float(), cross_entropy, "classes"),
    "probabilities": (3, (one_hot(Y, 3) + 0.1) / 1.3, nn.CrossEntropyLoss(label_smoothing=0.1), "classes"),
    "one-hot and another loss": (3, one_hot(Y, 3).float(), functional.mse_loss, "classes"),
    "several labels": (3, MANY, LOGITS, "each label"),
    "several labels, a function": (3, MANY, functional.binary_cross_entropy_with_logits, "each label"),
    "several labels, bound": (
        3,
        MANY,
        partial(functional.binary_cross_entropy_with_logits, pos_weight=torch.ones(3)),
        "each label",
    ),
    "yes or no": (1, MANY[:, :1], LOGITS, "each label"),
}


@pytest.mark.parametrize("kind", DEFINED)
def test_accuracy_of_one_hot_and_several_labels(kind):
    outputs, labels, loss, how = DEFINED[kind]
    model = network(outputs)
    row = trained(model, part(X, labels), part(X, labels), loss=loss)
    found = evaluate(model, part(X, labels), device="cpu", loss=loss, batch_size=7)
    assert 0 <= row["train_accuracy"] <= 1
    assert row["validation_accuracy"] == pytest.approx(by_hand(model, labels, how))
    assert found["accuracy"] == pytest.approx(by_hand(model, labels, how))


def test_shares_are_parted_at_one_half():
    model = nn.Sequential(network(), nn.Sigmoid())
    found = evaluate(model, part(X, MANY), device="cpu", loss=nn.BCELoss())
    assert found["accuracy"] == pytest.approx(by_hand(model[0], MANY, "each label"))


LEFT_OUT = {
    "a regression": (1, X[:, :, 0, 0], functional.mse_loss),
    "several labels under another loss": (3, MANY, SHARES),
    "one score for two classes": (1, Y.clamp(max=1), lambda o, y: LOGITS(o[:, 0], y.float())),
    "labels that do not add up, a loss of one's own": (
        3,
        one_hot(Y, 3) * 0.5,
        lambda o, y: cross_entropy(o, y),
    ),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_accuracy_without_a_meaning_is_left_out(kind):
    outputs, labels, loss = LEFT_OUT[kind]
    model = network(outputs)
    row = trained(model, part(X, labels), part(X, labels), loss=loss)
    assert set(row) == {"epoch", "train_loss", "validation_loss", "learning_rate", "seconds"}
    found = evaluate(model, part(X, labels), device="cpu", loss=loss)
    assert set(found) == {"loss"}
    assert math.isnan(found["accuracy"])  # asked for by name, as in a history
    with pytest.raises(KeyError):
        found["accurcy"]


@pytest.mark.parametrize("ignored", [-100, 2, 255])
@pytest.mark.parametrize("in_training", [True, False])
def test_labels_that_the_loss_ignores_are_not_judged(ignored, in_training):
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(0, 2, (20, 6, 6), generator=generator)
    some = labels.clone()
    some[torch.rand(some.shape, generator=generator) < 0.3] = ignored
    torch.manual_seed(0)
    model = nn.Conv2d(1, 3, 1)
    loss = nn.CrossEntropyLoss(ignore_index=ignored)
    row = trained(model, part(X, some if in_training else labels), part(X, some), loss=loss)
    right = (model(X).argmax(1) == some)[some != ignored]
    assert row["validation_accuracy"] == pytest.approx(right.double().mean().item())
    bound = partial(cross_entropy, ignore_index=ignored)
    assert evaluate(model, part(X, some), device="cpu", loss=bound)["accuracy"] == row["validation_accuracy"]


def test_training_and_validation_may_have_labels_of_different_form():
    """As with mixed images: probabilities to learn from, classes to look at."""
    model = network()
    row = trained(model, part(X, (one_hot(Y, 3) + one_hot(Y.roll(1), 3)) / 2), part(X, Y))
    assert row["validation_accuracy"] == pytest.approx(by_hand(model, Y, "classes"))


def test_nothing_is_asked_twice_of_an_ordinary_training():
    """The checks look at the first batch itself: the model, the loss and the augmentation are called once for each."""
    calls = {"model": 0, "loss": 0, "augment": 0}

    class Counted(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            calls["model"] += 1
            return super().forward(x.flatten(1))

    def loss(outputs: Tensor, labels: Tensor) -> Tensor:
        calls["loss"] += 1
        return cross_entropy(outputs, labels)

    def augment(x: Tensor, generator: torch.Generator) -> Tensor:
        calls["augment"] += 1
        return x

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(Counted(36, 3), part(X, Y), part(X, Y), loss=loss, augment=augment)
    assert calls == {"model": 3 + 1, "loss": 3 + 1, "augment": 3}


def test_a_diverging_training_with_clipping_ends_as_without():
    """A gradient that is not finite is a divergence, not an error."""
    settings = Settings(
        epochs=5, batch_size=8, learning_rate=1e30, clip=1.0, schedule="constant", device="cpu"
    )
    history = fit(network(), part(X, Y), settings=settings, progress=False)
    assert history.diverged
