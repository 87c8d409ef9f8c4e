"""Batches of one image: joined where the model would fail on them, and nowhere else."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from resnetbook.lab.training import Settings, batches, evaluate, fit, learning_rate, seed_everything

SETTINGS = Settings(epochs=2, batch_size=8, learning_rate=0.05, schedule="cosine", device="cpu")
NOTE = "last batch of 1 joined to the one before, 9 images"


def images(count: int) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(0)
    return SimpleNamespace(
        images=torch.randn(count, 1, 6, 6, generator=generator), labels=torch.arange(count) % 3
    )


class Squeezed(nn.Module):
    """Loses the dimension of a batch of one: (1, K, 1, 1) becomes (K,)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).squeeze()


class Functional(nn.Module):
    """A normalisation that no module shows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(36, 3)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("variance", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x.flatten(1))
        return nn.functional.batch_norm(x, self.mean, self.variance, training=self.training)


def norm_of_a_vector() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3))


def norm_of_one_pixel() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 6), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))


def norm_of_pixels() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


def no_norm() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Dropout(0.3), nn.Linear(8, 3))


def norm_of_a_layer() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.LayerNorm(8), nn.Linear(8, 3))


def lazy_norm() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.Linear(8, 3))


def old_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        layer = torch.nn.utils.weight_norm(nn.Linear(36, 8))
    return nn.Sequential(nn.Flatten(), layer, nn.BatchNorm1d(8), nn.Linear(8, 3))


FAILING = [norm_of_a_vector, norm_of_one_pixel, Functional, Squeezed, lazy_norm, old_weight_norm]
TAKING = [norm_of_pixels, no_norm, norm_of_a_layer]


def made(build) -> nn.Module:
    torch.manual_seed(1)
    return build()


def by_hand(build, data: SimpleNamespace, settings: Settings, join: bool) -> list[Tensor]:
    """The training as a plain loop, whose batches are `batches` without or with the last two in one."""
    model, count = made(build), len(data.images)
    seed_everything(0)
    optimizer = torch.optim.SGD(model.parameters(), 1.0, momentum=0.9, weight_decay=1e-4)
    step = 0
    for epoch in range(settings.epochs):
        order = list(batches(count, settings.batch_size, seed=0, epoch=epoch))
        if join:
            order[-2:] = [torch.cat(order[-2:])]
        for batch in order:
            optimizer.param_groups[0]["lr"] = learning_rate(settings, step, len(order))
            loss = cross_entropy(model(data.images[batch]), data.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    return list(model.state_dict().values())


def assert_equal(model: nn.Module, expected: list[Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), expected, strict=True))


@pytest.mark.parametrize("build", FAILING, ids=lambda build: build.__name__)
@pytest.mark.parametrize("count", [9, 25])
def test_a_last_batch_of_one_is_joined_and_said(build, count):
    model, data = made(build), images(count)
    with pytest.warns(UserWarning, match=NOTE):
        history = fit(model, data, images(9), settings=SETTINGS, progress=False)
    assert_equal(model, by_hand(build, data, SETTINGS, join=True))
    assert len(history.notes) == 1
    assert NOTE in history.notes[0]
    assert NOTE in history.table()


@pytest.mark.parametrize("build", TAKING, ids=lambda build: build.__name__)
def test_a_last_batch_of_one_stays_where_the_model_takes_it(build):
    model, data = made(build), images(17)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = fit(model, data, settings=SETTINGS, progress=False)
    assert_equal(model, by_hand(build, data, SETTINGS, join=False))
    assert history.notes == ()


@given(st.integers(2, 40), st.integers(2, 12), st.sampled_from([norm_of_a_vector, norm_of_pixels, no_norm]))
@examples(max_examples=40, deadline=None)
def test_any_number_of_images_in_batches_of_any_size_trains(count, size, build):
    """The batches differ from `batches` only where one image would be left to a model that fails on it."""
    settings = replace(SETTINGS, batch_size=size, epochs=1)
    join = count % size == 1 and count > size and build is norm_of_a_vector
    model = made(build)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        history = fit(model, images(count), settings=settings, progress=False)
    assert_equal(model, by_hand(build, images(count), settings, join=join))
    assert len(history.notes) == len([w for w in said if "joined" in str(w.message)]) == join


@pytest.mark.parametrize("build", FAILING[:4], ids=lambda build: build.__name__)
@pytest.mark.parametrize(
    ("changes", "count", "message"),
    [
        ({"batch_size": 1}, 9, "batch_size=1: one image a step is not enough for .* expected 2 at least"),
        ({}, 1, "train: 1 images: one image a step is not enough"),
        (
            {"batch_size": 3, "devices": 2},
            9,
            "batch_size=3: one image a step for each of 2 devices .* 4 at least",
        ),
        ({"devices": 5}, 8, "batch_size=8: one image a step for each of 5 devices .* 10 at least"),
    ],
)
def test_steps_of_one_image_are_refused_where_the_model_fails_on_them(build, changes, count, message):
    model = made(build)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=message):
        fit(model, images(count), settings=replace(SETTINGS, **changes), progress=False)
    assert_equal(model, list(before.values()))


def test_steps_of_one_image_stay_where_the_model_takes_them():
    model, settings = made(norm_of_pixels), replace(SETTINGS, batch_size=1)
    fit(model, images(3), settings=settings, progress=False)
    assert_equal(model, by_hand(norm_of_pixels, images(3), settings, join=False))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("count", "joined"), [(10, True), (11, True), (12, False), (9, False)])
def test_the_last_batch_of_several_devices(count, joined):
    """Batches of 8 on two devices: a rest of 2 or 3 images leaves each one, of 4 two, and of 1 none."""
    settings = replace(SETTINGS, devices=2, strategy="ddp_fork", epochs=1)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        history = fit(made(norm_of_a_vector), images(count), settings=settings, progress=False)
    assert len(history.notes) == joined
    assert any("for each of 2 devices" in str(warning.message) for warning in said) == joined


def test_images_that_the_augmentation_makes_fit():
    """Without it the model fails on any number of them."""
    data = images(17)
    data.images = data.images.double()
    with pytest.warns(UserWarning, match=NOTE):
        fit(made(norm_of_a_vector), data, settings=SETTINGS, augment=lambda x, g: x.float(), progress=False)


def test_looking_for_the_failure_leaves_no_trace():
    """Hooks, modes, buffers and the caller's random generators: as without the look."""
    model, calls = made(norm_of_pixels), []
    model[0].register_forward_hook(lambda *_: calls.append("hook"))
    model[1].eval()
    state = torch.get_rng_state()
    fit(model, images(17), settings=SETTINGS, progress=False)
    assert len(calls) == 2 * 3
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model] == [True, False, True, True, True]


def test_a_joined_training_resumes(tmp_path):
    whole, file = made(norm_of_a_vector), tmp_path / "c.pt"
    with pytest.warns(UserWarning, match=NOTE):
        fit(whole, images(17), settings=SETTINGS, progress=False)

    class Stop:
        def on_epoch_end(self, epoch, model, row):
            if epoch == 1:
                raise InterruptedError

    again = partial(fit, train=images(17), settings=SETTINGS, checkpoint=file, progress=False)
    with pytest.raises(InterruptedError), pytest.warns(UserWarning, match=NOTE):
        again(made(norm_of_a_vector), callbacks=[Stop()])
    model = made(norm_of_a_vector)
    with pytest.warns(UserWarning, match=NOTE):
        history = again(model)
    assert_equal(model, list(whole.state_dict().values()))
    assert len(history.rows) == 2
    assert NOTE in history.notes[0]


@pytest.mark.parametrize("count", [8, 9, 10, 17])
def test_an_evaluation_that_ends_with_one_image(count):
    """A normalisation without running statistics takes those of the batch, in evaluation too."""
    data = images(count)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval()
    found = evaluate(model, data, device="cpu", batch_size=8)
    sizes = {8: [8], 9: [9], 10: [8, 2], 17: [8, 9]}[count]
    parts = zip(data.images.split(sizes), data.labels.split(sizes), strict=True)
    total = sum(cross_entropy(model(x), y).item() * len(y) for x, y in parts)
    assert found["loss"] == pytest.approx(total / count, rel=1e-6)
    for build in (norm_of_a_vector, Squeezed):
        other = made(build)
        alone = evaluate(other, data, device="cpu", batch_size=100)
        assert evaluate(other, data, device="cpu", batch_size=8)["loss"] == pytest.approx(
            alone["loss"], rel=1e-6
        )


@pytest.mark.parametrize("size", [0, -1])
def test_an_evaluation_in_batches_of_nothing_is_refused(size):
    with pytest.raises(ValueError, match=f"batch_size={size}: expected"):
        evaluate(no_norm(), images(3), batch_size=size, device="cpu")
