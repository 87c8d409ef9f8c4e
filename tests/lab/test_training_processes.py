"""Several devices: networks of any size come back, errors and interrupts too, and no process stays."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from resnetbook.lab import _processes
from resnetbook.lab.training import Callback, Settings, fit
from resnetbook.timeline import create_model

# A hang is what these tests are about: whichever hangs fails after five minutes.
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork"),
]
FORK = Settings(epochs=2, batch_size=8, learning_rate=0.05, device="cpu", devices=2, strategy="ddp_fork")


def images(count: int = 24, pixels: int = 6) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    noise = torch.randn(count, 1, pixels, pixels, generator=generator)
    return SimpleNamespace(images=noise + labels[:, None, None, None], labels=labels)


def network(width: int = 8) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, width), nn.ReLU(), nn.Linear(width, 3))


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.fixture(autouse=True)
def _no_process_stays():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    assert multiprocessing.active_children() == []
    assert "MASTER_PORT" not in os.environ


def as_one_device(model: nn.Module, history, settings: Settings) -> None:
    """Without dropout and normalisation the mean of the shares' gradients is the whole batch's gradient."""
    alone = network(model[1].out_features)
    expected = fit(alone, images(), settings=replace(settings, devices=1, strategy="auto"), progress=False)
    for ours, theirs in zip(model.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert history["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("strategy", "devices"),
    [
        ("ddp_fork", 2),
        ("ddp_notebook", 3),
        pytest.param("ddp_spawn", 2, marks=pytest.mark.slow),
        pytest.param("auto", 2, marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def test_a_network_of_a_million_parameters_comes_back_as_from_one_device(strategy, devices):
    model = network(30_000)
    assert parameters(model) > 1_000_000
    settings = replace(FORK, devices=devices, strategy=strategy, epochs=1, batch_size=12, learning_rate=0.001)
    history = fit(model, images(), settings=settings, progress=False)
    as_one_device(model, history, settings)


@pytest.mark.parametrize("width", [8, 409, 410])
def test_networks_around_the_size_of_a_pipe_come_back(width):
    """A pipe holds 64 KB, 16,384 weights: 323, 16,363 and 16,403 are tried."""
    model = network(width)
    as_one_device(model, fit(model, images(), settings=FORK, progress=False), FORK)


class LongRow(Callback):
    def on_epoch_end(self, epoch, model, row):
        row.update({f"number {k}": float(k) for k in range(20_000)})


def test_a_long_history_comes_back():
    history = fit(network(), images(), settings=FORK, callbacks=[LongRow()], progress=False)
    assert history["number 19999"].tolist() == [19999.0, 19999.0]


def test_the_parents_threads_do_not_hang_a_fork():
    torch.set_num_threads(4)
    torch.randn(400, 400) @ torch.randn(400, 400)  # from here on the threads exist, in this process alone
    convolution = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.Flatten(), nn.Linear(32 * 1024, 3))
    history = fit(convolution, images(16, pixels=32), settings=replace(FORK, epochs=1), progress=False)
    assert len(history.rows) == 1
    assert torch.get_num_threads() == 4


def test_auxiliary_heads_and_validation_on_two_devices():
    model = create_model("googlenet", num_classes=3, in_channels=1)
    before = model.aux1.fc2.weight.detach().clone()
    settings = replace(FORK, epochs=1, batch_size=4)
    history = fit(model, images(4, pixels=16), images(3, pixels=16), settings=settings, progress=False)
    assert set(history.last) >= {"train_accuracy", "validation_accuracy"}
    assert not torch.equal(model.aux1.fc2.weight, before)


class OwnError(Exception):
    def __init__(self, number: int, *, unit: str) -> None:
        super().__init__(f"{number} {unit}")


class Fails:
    """Ends the training at step 1, on one of the devices or on all."""

    def __init__(self, how, rank=None):
        self.how, self.rank = how, rank

    def on_step_end(self, step, model, loss):
        if step == 1 and self.rank in (None, torch.distributed.get_rank()):
            self.how()


def unpicklable():
    raise OwnError(3, unit="apples")


def interrupt():
    raise KeyboardInterrupt


def overflow():
    raise OverflowError("too much")


ENDS = {
    "an error": (overflow, OverflowError, "too much"),
    "an error that cannot be sent": (unpicklable, Exception, "3 apples"),
    "an interrupt": (interrupt, KeyboardInterrupt, None),
    "sys.exit": (sys.exit, SystemExit, None),
    "a kill": (lambda: os.kill(os.getpid(), signal.SIGKILL), Exception, "SIGKILL"),
    "an exit": (lambda: os._exit(3), Exception, "exit code 3"),
}


@pytest.mark.parametrize(
    ("kind", "rank"),
    [*((kind, 1) for kind in ENDS), ("an interrupt", 0), ("an interrupt", None), ("a kill", 0)],
)
def test_what_ends_one_process_ends_the_training(kind, rank):
    how, error, message = ENDS[kind]
    model = network()
    model.eval()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(error, match=message):
        fit(model, images(), settings=FORK, callbacks=[Fails(how, rank)], progress=False)
    assert not model.training
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_wrong_labels_are_refused_as_on_one_device():
    data = images()
    data.labels[-1] = 7
    with pytest.raises(ValueError, match=r"^train: labels from 0 to 7; expected 0 to 2"):
        fit(network(), data, settings=FORK, progress=False)


def test_what_new_processes_cannot_find_is_named():
    spawn = replace(FORK, strategy="ddp_spawn")

    class Local(nn.Linear):
        pass

    for name, arguments in {
        "loss": {"loss": lambda outputs, labels: outputs.sum()},
        "augment": {"augment": lambda x, generator: x},
        "callbacks": {"callbacks": [SimpleNamespace(on_step_end=lambda *_: None)]},
    }.items():
        with pytest.raises(ValueError, match=f"{name}=.*cannot be sent to other processes.*ddp_fork"):
            fit(network(), images(), settings=spawn, progress=False, **arguments)
    with pytest.raises(ValueError, match="model=Sequential: it cannot be sent"):
        fit(nn.Sequential(nn.Flatten(), Local(36, 3)), images(), settings=spawn, progress=False)


SCRIPT = """
import signal, sys, time, torch
signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background starts with it ignored
sys.path.insert(0, {folder!r})
from test_training_processes import FORK, images, network
from resnetbook.lab.training import fit

class Slow:
    def on_step_end(self, step, model, loss):
        if torch.distributed.get_rank() == 0:
            print("step", flush=True)
        time.sleep(60)

model = network().eval()
try:
    fit(model, images(), settings=FORK, callbacks=[Slow()], progress=False)
except KeyboardInterrupt:
    import multiprocessing
    print("interrupted", model.training, len(multiprocessing.active_children()), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["parent", pytest.param("group", marks=pytest.mark.long)])
def test_ctrl_c_ends_all_processes(whom):
    """A notebook interrupts the whole group, a plain kill -INT the parent alone."""
    script = SCRIPT.format(folder=str(Path(__file__).parent))
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"step\n"
    if whom == "group":
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(process.pid, signal.SIGINT)
    assert process.communicate(timeout=120)[0].splitlines()[-1] == b"interrupted False 0"
    assert process.returncode == 0
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # nobody of the group is left


@pytest.mark.parametrize("raised", [KeyboardInterrupt, RuntimeError])
def test_a_process_ended_while_it_writes_its_error_does_not_hide_the_parents(monkeypatch, raised):
    """An interrupt of the group reaches parent and children at once: the parent ends them, wherever they are."""

    class Ended(BaseException):
        pass

    class Launcher:
        def launch(self, work, model):
            folder = work.keywords["folder"]
            monkeypatch.setattr(Path, "rename", ended)
            with pytest.raises(Ended):
                _processes._write_error(folder, OverflowError("too much"))
            monkeypatch.undo()
            assert len(list(folder.iterdir())) == 1  # what it had written
            raise raised("of the parent")

    def ended(*_):
        raise Ended

    with pytest.raises(raised, match="of the parent"):
        _processes.launch(Launcher(), "ddp_fork", print, nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("raised", "seen"), [(RuntimeError, "the cause"), (KeyboardInterrupt, "of the parent")]
)
def test_the_first_child_to_fail_is_the_cause_and_an_interrupt_of_the_parent_comes_before_it(
    monkeypatch, raised, seen
):
    class Launcher:
        def launch(self, work, model):
            folder = work.keywords["folder"]
            for process, words, seconds in ((1, "lost its partner", 20), (2, "the cause", 10)):
                monkeypatch.setattr(os, "getpid", lambda process=process: process)
                _processes._write_error(folder, OverflowError(words))
                os.utime(folder / f"error-{process}", (seconds, seconds))
            monkeypatch.undo()
            raise raised("of the parent")

    expected = KeyboardInterrupt if raised is KeyboardInterrupt else OverflowError
    with pytest.raises(expected, match=seen):
        _processes.launch(Launcher(), "ddp_fork", print, nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("changes", "count", "message"),
    [
        ({"batch_size": 1}, 24, "batch_size=1: expected one image at least for each of 2 devices"),
        ({}, 1, "train: 1 images; expected one at least for each of 2 devices"),
        ({"devices": 3, "batch_size": 2}, 24, "batch_size=2: .* each of 3 devices"),
    ],
)
def test_fewer_images_than_devices_are_refused(changes, count, message):
    with pytest.raises(ValueError, match=message):
        fit(network(), images(count), settings=replace(FORK, **changes), progress=False)


class Noise(Callback):
    """Keeps what the augmentation of each device drew, in the row of the first."""

    def __init__(self) -> None:
        self.drawn: list[float] = []

    def __call__(self, x, generator):
        self.drawn.append(torch.rand((), generator=generator).item())
        return x

    def on_epoch_end(self, epoch, model, row):
        both = [None, None]
        torch.distributed.all_gather_object(both, self.drawn[-1])
        row["first"], row["second"] = both


def test_each_device_draws_augmentation_of_its_own():
    """Stream 1 + rank of the generator; stream 0 is the order of the images."""
    from resnetbook.lab.settings import generator

    noise = Noise()
    settings = replace(FORK, batch_size=24)
    history = fit(network(), images(), settings=settings, augment=noise, callbacks=[noise], progress=False)
    for epoch, row in enumerate(history.rows):
        for stream, name in ((1, "first"), (2, "second")):
            assert row[name] == torch.rand((), generator=generator(0, epoch, stream)).item()
