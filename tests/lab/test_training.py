"""The loop against a loop written by hand, checkpoints against kills and damage."""

from __future__ import annotations

import math
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from resnetbook.lab import training
from resnetbook.lab.training import Callback, Settings, evaluate, fit, learning_rate

SMALL = Settings(epochs=3, batch_size=16, learning_rate=0.05, device="cpu")


def part(images: Tensor, labels: Tensor) -> SimpleNamespace:
    """Stand for a Part; unlike a class of this module, other processes can load it."""
    return SimpleNamespace(images=images, labels=labels)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def images(count: int = 72, seed: int = 0) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    noise = torch.randn(count, 1, 6, 6, generator=generator)
    return part(noise + labels[:, None, None, None], labels)


def network(seed: int = 1, dropout: float = 0.3) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Dropout(dropout), nn.Linear(144, 3),
    )  # fmt: skip


def same(left: nn.Module, right: nn.Module) -> bool:
    pairs = zip(left.state_dict().values(), right.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def without_time(history: training.History) -> list[dict[str, float]]:
    return [row | {"seconds": 0} for row in history.rows]


@pytest.mark.parametrize(
    "changes", [{}, {"schedule": "cosine", "warmup_epochs": 1, "clip": 0.5}, {"optimizer": "adamw"}]
)
def test_fit_equals_a_plain_loop_bit_for_bit(changes):
    settings = replace(SMALL, **changes)
    data, ours, theirs = images(), network(), network()
    history = fit(ours, data, settings=settings, progress=False)

    training.seed_everything(settings.seed)
    if settings.optimizer == "sgd":
        optimizer = torch.optim.SGD(theirs.parameters(), lr=1, momentum=0.9, weight_decay=1e-4)
    else:
        optimizer = torch.optim.AdamW(theirs.parameters(), lr=1, betas=(0.9, 0.999), weight_decay=1e-4)
    losses, step = [], 0
    for epoch in range(3):
        total = 0.0
        for batch in training.batches(72, 16, seed=0, epoch=epoch):
            optimizer.param_groups[0]["lr"] = learning_rate(settings, step, 5)
            loss = cross_entropy(theirs(data.images[batch]), data.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            if settings.clip:
                nn.utils.clip_grad_norm_(theirs.parameters(), settings.clip)
            optimizer.step()
            total += loss.item() * len(batch)
            step += 1
        losses.append(total / 72)
    assert same(ours, theirs)
    assert history["train_loss"] == pytest.approx(losses, rel=1e-12)
    assert history["learning_rate"][-1] == learning_rate(settings, 14, 5)


def test_training_learns_and_reports_what_evaluate_reports():
    data, model = images(), network()
    before = evaluate(model, data, device="cpu")
    history = fit(model, data, data, settings=replace(SMALL, epochs=6), progress=False)
    after = evaluate(model, data, device="cpu", batch_size=7)
    assert after["accuracy"] > 0.9 > before["accuracy"]
    assert history.last["validation_accuracy"] == after["accuracy"]
    assert history.last["validation_loss"] == pytest.approx(after["loss"], rel=1e-6)
    assert [row["epoch"] for row in history.rows] == [1, 2, 3, 4, 5, 6]
    model.eval()
    outputs = model(data.images)
    assert after["loss"] == pytest.approx(cross_entropy(outputs, data.labels).item(), rel=1e-6)
    assert after["accuracy"] == (outputs.argmax(1) == data.labels).double().mean().item()


def test_accuracy_counts_pixels_of_a_segmentation_and_is_absent_for_a_regression():
    masks = part(torch.randn(8, 1, 4, 4), torch.randint(0, 2, (8, 4, 4)))
    model = nn.Conv2d(1, 2, 1)
    wanted = (model(masks.images).argmax(1) == masks.labels).double().mean().item()
    assert evaluate(model, masks, device="cpu", batch_size=3)["accuracy"] == pytest.approx(wanted)
    numbers = part(torch.randn(8, 4), torch.randn(8, 1))
    result = evaluate(nn.Linear(4, 1), numbers, device="cpu", loss=nn.functional.mse_loss)
    assert math.isnan(result["accuracy"])
    assert result["loss"] > 0


def test_equal_seeds_give_equal_bits_whatever_the_caller_drew_and_other_seeds_do_not():
    first, second, third = network(), network(), network()
    fit(first, images(), settings=SMALL, progress=False)
    torch.rand(17)
    np.random.rand(3)  # noqa: NPY002
    state = torch.get_rng_state()
    fit(second, images(), settings=SMALL, progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    fit(third, images(), settings=replace(SMALL, seed=1), progress=False)
    assert same(first, second)
    assert not same(first, third)


def test_mode_and_device_of_the_model_are_kept():
    model = network()
    model[1].eval()
    fit(model, images(), images(), settings=replace(SMALL, epochs=1), progress=False)
    assert [m.training for m in model] == [True, False, True, True, True, True]
    evaluate(model, images(), device="cpu")
    assert [m.training for m in model] == [True, False, True, True, True, True]


class Watch(Callback):
    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_step_end(self, step, model, loss):
        assert all(p.grad is not None for p in model.parameters())
        assert not loss.requires_grad
        self.steps.append(step)

    def on_epoch_end(self, epoch, model, row):
        row["weight"] = model[0].weight.detach().norm().item()


def test_callbacks_see_each_step_and_their_numbers_survive_in_the_checkpoint(tmp_path):
    watch, file = Watch(), tmp_path / "c.pt"
    history = fit(network(), images(), settings=SMALL, callbacks=[watch], checkpoint=file, progress=False)
    assert watch.steps == list(range(15))
    again = fit(network(), images(), settings=SMALL, callbacks=[watch], checkpoint=file, progress=False)
    assert len(watch.steps) == 15  # a finished training is loaded, not repeated
    assert again.rows == history.rows
    assert history["weight"].shape == (3,)


def test_augmentation_is_seeded_and_only_touches_training_batches():
    seen = []

    def noise(x, generator):
        drawn = torch.randn(x.shape, generator=generator)
        seen.append(drawn.sum().item())
        return x + drawn

    first, second = network(), network()
    settings = replace(SMALL, epochs=2)
    one = fit(first, images(), images(), settings=settings, augment=noise, progress=False)
    half = len(seen)
    two = fit(second, images(), images(), settings=settings, augment=noise, progress=False)
    assert half == 10
    assert seen[:half] == seen[half:]
    assert len(set(seen)) == half
    assert without_time(one) == without_time(two)


def test_a_diverged_training_ends_early_and_keeps_its_rows(tmp_path):
    model, file = network(dropout=0.0), tmp_path / "c.pt"
    settings = replace(SMALL, epochs=9, learning_rate=1e12)
    history = fit(model, images(), settings=settings, checkpoint=file, progress=False)
    assert history.diverged
    assert 1 <= len(history.rows) < 9
    assert not math.isfinite(history.last["train_loss"])
    assert "diverged" in history.table()
    again = fit(network(dropout=0.0), images(), settings=settings, checkpoint=file, progress=False)
    assert again.diverged
    assert len(again.rows) == len(history.rows)


SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {folder!r})
from test_training import SMALL, images, network, without_time
import torch
torch.set_num_threads(1)
from resnetbook.lab.training import fit
from dataclasses import replace

class Slow:
    def on_step_end(self, step, model, loss):
        if step == 12:
            print("in the middle of epoch 3", flush=True)
            time.sleep(60)

model = network()
fit(model, images(), images(), settings=replace(SMALL, epochs=5), checkpoint=Path(sys.argv[1]), callbacks=[Slow()])
"""


def test_resumes_bit_for_bit_after_kill_9(tmp_path):
    whole, settings = network(), replace(SMALL, epochs=5)
    expected = fit(whole, images(), images(), settings=settings, progress=False)

    file = tmp_path / "c.pt"
    script = SCRIPT.format(folder=str(Path(__file__).parent))
    process = subprocess.Popen([sys.executable, "-c", script, str(file)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"in the middle")
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()

    steps: list[int] = []
    watch = SimpleNamespace(on_step_end=lambda step, model, loss: steps.append(step))
    resumed = network()
    torch.rand(5)
    history = fit(
        resumed, images(), images(), settings=settings, checkpoint=file, callbacks=[watch], progress=False
    )
    assert steps == list(range(10, 25))  # epochs 1 and 2 were kept, epoch 3 is repeated
    assert same(whole, resumed)
    assert without_time(history) == without_time(expected)


@pytest.mark.parametrize("kept", [0, 20, 500, -1])
def test_a_truncated_checkpoint_is_refused(tmp_path, kept):
    file = tmp_path / "c.pt"
    fit(network(), images(), settings=SMALL, checkpoint=file, progress=False)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"'c.pt' is damaged or truncated"):
        fit(network(), images(), settings=SMALL, checkpoint=file, progress=False)


def test_a_flipped_bit_in_a_checkpoint_is_refused(tmp_path):
    file = tmp_path / "c.pt"
    fit(network(), images(), settings=SMALL, checkpoint=file, progress=False)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        fit(network(), images(), settings=SMALL, checkpoint=file, progress=False)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    file = tmp_path / "c.pt"
    fit(network(), images(), settings=SMALL, checkpoint=file, progress=False)

    def resume(model=None, data=None, settings=SMALL):
        fit(model or network(), data or images(), settings=settings, checkpoint=file, progress=False)

    with pytest.raises(ValueError, match=r"other settings \(learning_rate=0.05 instead of 0.1\)"):
        resume(settings=replace(SMALL, learning_rate=0.1))
    with pytest.raises(ValueError, match=r"another model \(1.weight=\[4\] instead of \[3, 36\]"):
        resume(model=nn.Sequential(nn.Flatten(), nn.Linear(36, 3)))
    with pytest.raises(ValueError, match="other initial weights"):
        resume(model=network(seed=2))
    with pytest.raises(ValueError, match="other training data"):
        resume(data=images(seed=5))
    resume()


def test_nothing_is_written_to_standard_error_where_it_is_no_terminal(capfd):
    fit(network(), images(), images(), settings=replace(SMALL, precision="bf16-mixed"))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_bf16_trains_nearly_as_32_bit():
    exact, mixed = network(), network()
    one = fit(exact, images(), settings=SMALL, progress=False)
    two = fit(mixed, images(), settings=replace(SMALL, precision="bf16-mixed"), progress=False)
    assert all(value.dtype != torch.bfloat16 for value in mixed.state_dict().values())
    assert not same(exact, mixed)
    assert two.last["train_loss"] == pytest.approx(one.last["train_loss"], rel=0.1)


@pytest.mark.slow
def test_two_processes_train_as_one_does():
    """Without batch norm and dropout the mean of two halves' gradients is the whole batch's gradient."""
    torch.manual_seed(0)
    alone = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    pair = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    pair.load_state_dict(alone.state_dict())
    one = fit(alone, images(), settings=SMALL, progress=False)
    two = fit(pair, images(), settings=replace(SMALL, devices=2), progress=False)
    torch.testing.assert_close(pair[1].weight, alone[1].weight, rtol=1e-5, atol=1e-6)
    assert two["train_loss"] == pytest.approx(one["train_loss"], rel=1e-5)


def test_bad_data_are_named():
    with pytest.raises(ValueError, match=r"train: images \(3, 1, 6, 6\) and labels \(2,\)"):
        fit(network(), part(torch.zeros(3, 1, 6, 6), torch.zeros(2).long()), settings=SMALL)
    empty = part(torch.zeros(0, 1, 6, 6), torch.zeros(0).long())
    with pytest.raises(ValueError, match="validation: "):
        fit(network(), images(), empty, settings=SMALL)
    with pytest.raises(ValueError, match="part: "):
        evaluate(network(), empty)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no such device"):
            training.device("cuda")


def test_history_refuses_an_unknown_column():
    history = training.History([{"epoch": 1, "train_loss": 0.5}])
    assert history["train_loss"].tolist() == [0.5]
    with pytest.raises(ValueError, match=r"name='loss': expected one of the columns epoch, train_loss"):
        history["loss"]


def test_the_checkpoint_is_never_seen_half_written(tmp_path, monkeypatch):
    """Die with half the bytes of the third checkpoint written: the second is still whole and is resumed."""
    file, real, sizes = tmp_path / "c.pt", os.fsync, []

    def dying(descriptor):
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return
        real(descriptor)
        sizes.append(os.fstat(descriptor).st_size)
        if len(sizes) == 3:
            os.ftruncate(descriptor, sizes[-1] // 2)
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", dying)
    with pytest.raises(KeyboardInterrupt):
        fit(network(), images(), settings=SMALL, checkpoint=file, progress=False)
    monkeypatch.setattr(os, "fsync", real)
    steps: list[int] = []
    watch = SimpleNamespace(on_step_end=lambda step, model, loss: steps.append(step))
    whole, resumed = network(), network()
    fit(whole, images(), settings=SMALL, progress=False)
    fit(resumed, images(), settings=SMALL, checkpoint=file, callbacks=[watch], progress=False)
    assert steps == list(range(10, 15))
    assert same(whole, resumed)
