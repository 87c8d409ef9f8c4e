"""C29, its second half: DenseNet's features are reused.

Design: a plain DenseNet is trained; then connections are cut, one at a time and many together, by setting the slice of a layer's
convolution that reads a source to zero. A block's source 0 is its input, source s the maps of its layer s. No training after the cut,
evaluation mode. Two arms that differ in weight decay alone: "weak" (the paper's 1e-4) and "strong", which shrinks weights that
are not used; with the weak one a short training leaves their sizes near those that were drawn.
weights: mean |weight| of each connection over the mean of its layer, by block, target and source (the paper's figure 5).
cuts: rise of the test loss when this connection alone is cut, in the same order.
skips_worth: test accuracy lost when all connections between layers of a block are cut but those to the next layer (sources that
are a block's input stay). direct_worth: when the connections to the next layer are cut instead. test_accuracy: before.
Refuted if nothing is lost without the connections that skip a layer: then features would not be reused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from resnetbook.lab import fitting, training
from resnetbook.lab.fitting import Fitting
from resnetbook.lab.running import Context, Experiment

if TYPE_CHECKING:
    from resnetbook.timeline.densenet import DenseLayer


@dataclass(frozen=True)
class Settings(Fitting):
    """Depth (3n + 4) and growth rate of the network, learning rate and weight decays."""

    epochs: int = 25
    rates: tuple[float, ...] = (0.1,)
    depth: int = 22
    growth_rate: int = 8
    weak: float = 1e-4
    strong: float = 2e-2


@dataclass(frozen=True)
class Connection:
    """From the maps of `source` to the layer `target` of one block: a view of the weights that read them."""

    block: int
    target: int
    source: int
    weight: Tensor


def connections(model: nn.Module) -> list[Connection]:
    """Return all connections of a DenseNet, by block, target (from 1) and source (from 0, the block's input)."""
    from resnetbook.timeline.densenet import DenseBlock

    found = []
    blocks = [module for module in model.modules() if isinstance(module, DenseBlock)]
    for number, block in enumerate(blocks, 1):
        layers: list[DenseLayer] = list(block.children())  # type: ignore[arg-type]
        reads = [layer.conv1.in_channels for layer in layers]
        sizes = [reads[0], *(after - before for before, after in pairwise(reads))]
        for target, layer in enumerate(layers, 1):
            parts = layer.conv1.weight.detach().split(sizes[:target], 1)
            found += [Connection(number, target, source, part) for source, part in enumerate(parts)]
    return found


@contextmanager
def cut(chosen: Sequence[Connection]) -> Iterator[None]:
    """Inside, the weights of these connections are zero."""
    kept = [connection.weight.clone() for connection in chosen]
    try:
        for connection in chosen:
            connection.weight.zero_()
        yield
    finally:
        for connection, weight in zip(chosen, kept, strict=True):
            connection.weight.copy_(weight)


def sizes_of_weights(model: nn.Module) -> list[float]:
    """Return mean |weight| of each connection over the mean of all that its layer reads."""
    found = connections(model)
    totals: dict[tuple[int, int], tuple[float, int]] = {}
    for c in found:
        total, number = totals.get((c.block, c.target), (0.0, 0))
        totals[c.block, c.target] = (total + float(c.weight.abs().sum()), number + c.weight.numel())
    means = {key: total / number for key, (total, number) in totals.items()}
    return [float(c.weight.abs().mean()) / means[c.block, c.target] for c in found]


def rises(model: nn.Module, loss: Callable[[], float]) -> list[float]:
    """Return by how much `loss()` rises when each connection alone is cut."""
    before, after = loss(), []
    for connection in connections(model):
        with cut([connection]):
            after.append(loss() - before)
    return after


def arms(settings: Settings) -> Sequence[str]:
    """Return the two weight decays."""
    return ("weak", "strong")


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Train the network, look at its weights, and cut."""
    from resnetbook.timeline.densenet import CifarDenseNet

    data = fitting.images_of(settings)
    training.seed_everything(seed)
    model = CifarDenseNet(
        settings.depth,
        settings.growth_rate,
        bottleneck=False,
        compression=1.0,
        num_classes=len(data.classes),
        in_channels=data.train.images.shape[1],
    )
    how = training.Settings(
        epochs=settings.epochs,
        learning_rate=settings.rates[0],
        batch_size=settings.batch_size,
        warmup_epochs=settings.warmup_epochs,
        weight_decay=settings.weak if arm == "weak" else settings.strong,
        schedule="cosine",
        seed=seed,
        device=context.device,
    )
    training.fit(
        model, data.train, data.validation, settings=how, checkpoint=context.checkpoint, progress=False
    )

    def evaluate(name: str) -> float:
        return training.evaluate(model, data.test, device=context.device)[name]

    found, accuracy = connections(model), evaluate("accuracy")
    between = [c for c in found if c.source > 0]
    worth = {}
    for name, chosen in (
        ("skips", [c for c in between if c.target > c.source + 1]),
        ("direct", [c for c in between if c.target == c.source + 1]),
    ):
        with cut(chosen):
            worth[f"{name}_worth"] = accuracy - evaluate("accuracy")
    return {
        "test_accuracy": accuracy,
        "test_loss": evaluate("loss"),
        **worth,
        "weights": sizes_of_weights(model),
        "cuts": rises(model, lambda: evaluate("loss")),
    }


EXPERIMENT = Experiment(
    name="dense_reuse",
    title="Which maps a trained DenseNet reads, and which it needs",
    claims=("C29",),
    scales={
        "live": Settings(train_size=200, epochs=2, depth=16, growth_rate=4),
        "quick": Settings(),
        "full": Settings(
            data="cifar10_jpeg", epochs=60, batch_size=128, depth=40, growth_rate=12, strong=2e-3
        ),
    },
    arms=arms,
    run=run,
    data=fitting.describe,
)
