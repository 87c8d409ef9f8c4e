"""Each network of the timeline beside its counterpart in torchvision, timm or pytorchcv: time and memory of a step.

Both carry the same weights' shapes and see the same batch; they take turns within one run, and each repeat gives one ratio.
Peak memory is the largest sum of live tensors during a step, exact and equal in every run; workspace inside a kernel is not
seen. `python tools/bench_networks.py [NAME ...]` prints the table for some networks alone.
"""

import math
import statistics
import sys
import time
from typing import Any

REPEATS = 20
# Our network, the library that has its counterpart, its name there, side of the images, images in a batch.
PAIRS = (
    ("alexnet", "torchvision", "alexnet", 128, 8),
    ("googlenet", "torchvision", "googlenet", 96, 8),
    ("resnet18", "torchvision", "resnet18", 96, 8),
    ("resnet50", "torchvision", "resnet50", 96, 4),
    ("resnet50_v2", "timm", "resnetv2_50", 96, 4),
    # torchvision has the layer alone, which computes what it drops: `stochastic110` puts it into ResNet-110.
    ("stochastic110", "torchvision", "StochasticDepth", 32, 8),
    ("wide_resnet50_2", "torchvision", "wide_resnet50_2", 96, 2),
    ("resnext50_32x4d", "torchvision", "resnext50_32x4d", 96, 4),
    ("densenet121", "torchvision", "densenet121", 96, 4),
    ("dpn68", "timm", "dpn68", 96, 4),
    ("dpn92", "timm", "dpn92", 96, 2),
    ("inception_v3", "torchvision", "inception_v3", 107, 4),
    ("inception_v4", "timm", "inception_v4", 107, 2),
    ("inception_resnet_v1", "pytorchcv", "inceptionresnetv1", 299, 2),  # takes no other size
    ("inception_resnet_v2", "timm", "inception_resnet_v2", 107, 2),
    ("nasnet_a_mobile", "pytorchcv", "nasnet_4a1056", 224, 1),  # takes no other size
    ("nasnet_a_large", "timm", "nasnetalarge", 96, 1),
)
CHANGES: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False},
    "inception_v3": {"aux_logits": False},
}


def counterpart(library: str, name: str) -> Any:
    """Build the other library's network with random weights; auxiliary heads off."""
    if library == "torchvision":
        import torchvision

        if name == "StochasticDepth":
            return stochastic110(torchvision.ops.StochasticDepth)
        extra = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        return getattr(torchvision.models, name)(**extra)
    if library == "timm":
        import timm

        return timm.create_model(name)
    from pytorchcv.model_provider import get_model

    return get_model(name)


def stochastic110(layer: Any) -> Any:
    """Build ResNet-110 with `layer` at the end of each branch, dropping as our stochastic110 does."""
    from torch import nn

    from resnetbook.principle.block import BasicBlock
    from resnetbook.timeline import create_model
    from resnetbook.timeline.stochastic_depth import survival_rates

    network = create_model("resnet110")
    blocks: Any = [module for module in network.modules() if isinstance(module, BasicBlock)]
    for block, rate in zip(blocks, survival_rates(len(blocks), 0.5), strict=True):
        block.bn2 = nn.Sequential(block.bn2, layer(1 - rate, "batch"))
    return network


def compare(name: str, library: str, other: str, size: int, batch: int) -> dict[str, Any]:
    """Return the ratios ours / theirs of one pair: lists for times, numbers for memory."""
    import torch
    from torch.nn.functional import cross_entropy

    from resnetbook.lab.memory import peak_memory
    from resnetbook.timeline import create_model

    torch.manual_seed(0)
    ours, theirs = create_model(name, **CHANGES.get(name, {})), counterpart(library, other)
    x, y = torch.randn(batch, 3, size, size), torch.randint(10, (batch,))

    def train(network: Any) -> None:
        for parameter in network.parameters():
            parameter.grad = None
        cross_entropy(network.train()(x), y).backward()

    def infer(network: Any) -> None:
        with torch.no_grad():
            network.eval()(x)

    found: dict[str, Any] = {}
    for kind, work in (("training", train), ("inference", infer)):
        ratios = []
        for repeat in range(REPEATS + 2):
            # Who goes first changes, so that what the first leaves in a cache favours neither.
            order = (ours, theirs) if repeat % 2 == 0 else (theirs, ours)
            taken = {}
            for network in order:
                start = time.perf_counter()
                work(network)
                taken[id(network)] = time.perf_counter() - start
            ratios.append(taken[id(ours)] / taken[id(theirs)])
        found[f"{kind} time"] = ratios[2:]
        memory = [peak_memory(lambda work=work, network=network: work(network)) for network in (ours, theirs)]
        found[f"{kind} memory"] = memory[0] / memory[1]
    return found


def networks(names: tuple[str, ...] = ()) -> list[str]:
    """Return the table of all pairs, or of those named."""
    rows = [
        "Ours / theirs: median of 20 paired repeats with its middle half for times, one number for peak memory.",
        "",
        "| network | counterpart | training time | training memory | inference time | inference memory |",
        "|---|---|---|---|---|---|",
    ]
    columns = ("training time", "training memory", "inference time", "inference memory")
    logs: dict[str, list[float]] = {column: [] for column in columns}
    for name, library, other, size, batch in PAIRS:
        if names and name not in names:
            continue
        found, cells = compare(name, library, other, size, batch), []
        for column in columns:
            values = found[column]
            if isinstance(values, list):
                low, middle, high = statistics.quantiles(values, n=4)
                cells.append(f"{middle:.3f} ({low:.3f} to {high:.3f})")
            else:
                middle = values
                cells.append(f"{middle:.3f}")
            logs[column].append(math.log(middle))
        rows.append(f"| {name}, {size} px, {batch} | {library} {other} | {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    means = [f"{math.exp(statistics.mean(logs[column])):.3f}" for column in columns]
    worst = [f"{math.exp(max(logs[column])):.3f}" for column in columns]
    rows.append(f"| geometric mean | | {' | '.join(means)} |")
    rows.append(f"| largest | | {' | '.join(worst)} |")
    return rows


if __name__ == "__main__":
    print("\n".join(networks(tuple(sys.argv[1:]))[-2:]))
