"""Whatever ends a training or an evaluation: the model is back in its modes and on its device."""

from __future__ import annotations

import signal
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from resnetbook.lab.training import Settings, evaluate, fit

SETTINGS = Settings(epochs=2, batch_size=8, learning_rate=0.05, device="cpu")


def images(count: int = 24) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(0)
    return SimpleNamespace(
        images=torch.randn(count, 1, 6, 6, generator=generator), labels=torch.arange(count) % 3
    )


class Own(BaseException):
    """Neither an Exception nor an interrupt."""


class Fragile(nn.Module):
    """Ends with `error` in its call number `call`."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls, self.call, self.error = nn.Linear(36, 3), 0, -1, Own()

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.call:
            raise self.error
        return self.layer(x.flatten(1))


def network() -> nn.Sequential:
    """Modes of every kind, which a training sets all to True."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Sequential(Fragile(), nn.Dropout(0.1)), nn.BatchNorm1d(3))
    model.eval()
    model[1].training = True
    return model


ERRORS = [KeyboardInterrupt(), RuntimeError("mine"), SystemExit(3), Own(), MemoryError(), ZeroDivisionError()]


def in_step(error):
    return {"callbacks": [SimpleNamespace(on_step_end=lambda step, model, loss: fail(error, step == 2))]}


def in_first_step(error):
    return {"callbacks": [SimpleNamespace(on_step_end=lambda step, model, loss: fail(error))]}


def in_epoch(error):
    return {"callbacks": [SimpleNamespace(on_epoch_end=lambda epoch, model, row: fail(error))]}


def after_eval(error):
    def end(step, model, loss):
        model.eval().double()
        fail(error)

    return {"callbacks": [SimpleNamespace(on_step_end=end)]}


def in_loss(error):
    steps = []

    def loss(outputs, labels):
        steps.append(1)
        fail(error, len(steps) == 2)
        return cross_entropy(outputs, labels)

    return {"loss": loss}


def in_augmentation(error):
    return {"augment": lambda x, generator: fail(error) or x}


def fail(error, now=True):
    if now:
        raise error


PLACES = [in_step, in_first_step, in_epoch, after_eval, in_loss, in_augmentation]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_modes_come_back_and_the_error_is_the_same(place, error):
    model, state = network(), torch.get_rng_state()
    before = [(name, module.training) for name, module in model.named_modules()]
    with pytest.raises(type(error)) as raised:
        fit(model, images(), images(9), settings=SETTINGS, progress=False, **place(error))
    assert raised.value is error
    assert [(name, module.training) for name, module in model.named_modules()] == before
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("call", [1, 2, 4, 5])
def test_an_error_of_the_model_itself(call):
    """Calls 1 to 3 are steps, 4 and 5 the validation, in evaluation mode."""
    model = network()
    model[1][0].call = call
    before = [module.training for module in model.modules()]
    with pytest.raises(Own):
        fit(model, images(), images(600), settings=SETTINGS, progress=False)
    assert [module.training for module in model.modules()] == before


@pytest.mark.parametrize("call", [1, 2])
def test_an_evaluation_that_ends_early(call):
    model = network().train()
    model[0].eval()
    before = [module.training for module in model.modules()]
    model[1][0].call = call
    with pytest.raises(Own):
        evaluate(model, images(), device="cpu", batch_size=8)
    assert [module.training for module in model.modules()] == before


def test_the_checkpoint_of_another_training(tmp_path):
    file = tmp_path / "c.pt"
    fit(network(), images(), settings=SETTINGS, checkpoint=file, progress=False)
    model = network()
    before = [module.training for module in model.modules()]
    with pytest.raises(ValueError, match="other settings"):
        fit(model, images(), settings=replace(SETTINGS, epochs=3), checkpoint=file, progress=False)
    assert [module.training for module in model.modules()] == before


def test_ctrl_c(request):
    """The signal itself, in the middle of a step; a run in the background starts with the signal ignored."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, former))
    model = network()
    before = [module.training for module in model.modules()]
    watch = SimpleNamespace(on_step_end=lambda step, model, loss: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        fit(model, images(), settings=SETTINGS, callbacks=[watch], progress=False)
    assert [module.training for module in model.modules()] == before


@pytest.mark.parametrize("ends", [None, KeyboardInterrupt(), RuntimeError("mine")])
@pytest.mark.parametrize("use", [fit, evaluate])
def test_the_model_is_sent_home(ends, use, monkeypatch):
    """Without a second device what shows is that the last thing done to the model is to send it where it was."""
    model, sent = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), []

    def loss(outputs, labels):
        sent.append("loss")
        if ends is not None:
            raise ends
        return cross_entropy(outputs, labels)

    def to(self, *args, **kwargs):
        if self is model:
            sent.append(args)
        return nn.Sequential.__mro__[1].to(self, *args, **kwargs)

    monkeypatch.setattr(nn.Sequential, "to", to, raising=False)
    options = {"settings": SETTINGS, "progress": False} if use is fit else {"device": "cpu"}
    with pytest.raises(type(ends)) if ends is not None else nullcontext():
        use(model, images(), loss=loss, **options)
    assert "loss" in sent
    assert sent[-1] == (torch.device("cpu"),)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("error", ERRORS[:2], ids=lambda error: type(error).__name__)
def test_the_model_comes_back_from_the_gpu(error):
    model = network()
    with pytest.raises(type(error)):
        fit(model, images(), settings=replace(SETTINGS, device="cuda"), progress=False, **in_step(error))
    assert {p.device.type for p in model.parameters()} == {"cpu"}
