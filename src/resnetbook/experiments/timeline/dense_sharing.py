"""C31: ResNet is the special case of DenseNet whose connections share their parameters across layers.

    DenseNet     h_k = g_k( sum over t < k of f_t^k(h_t) )
    shared       f_t^k = f_t for every k, so that r_k = sum over t < k of f_t(h_t) is a state that grows by one term a layer:
                 r_{k+1} = r_k + f_k(g_k(r_k)),   a residual network

(Chen et al. 2017, arXiv:1707.01629, section 3.) In the terms of `timeline.densenet`: g_k is the second half of a layer, norm,
relu and 3x3 convolution; f_t^k is the norm, relu and slice of the 1x1 convolution with which layer k reads map h_t.

Design: a dense block with random weights, in double precision. Arm "shared": every layer reads a map with the weights with which
the last layer reads it; arm "own", the control: the layers keep the weights that they were drawn with. A residual network is built
from the last layer's reading weights and the layers' g_k. difference: the largest difference of the two networks' maps, in training and in
evaluation mode, and of the gradients with respect to the input, over the largest value.
An identity: the claim holds if the difference is 1e-6 at most in every seed under sharing; the control says that this is owed to
the sharing. parameters_block and parameters_twin count both networks.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnetbook.lab import training
from resnetbook.lab.running import Context, Experiment
from resnetbook.timeline._checks import he_init
from resnetbook.timeline.densenet import DenseBlock, DenseLayer


@dataclass(frozen=True)
class Settings:
    """Sizes of the block and of the batch."""

    layers: int = 12
    in_channels: int = 16
    growth_rate: int = 12
    images: int = 8
    side: int = 8


def share(block: DenseBlock) -> DenseBlock:
    """Let every layer of `block` read each map as the last layer reads it, in place: shared across layers."""
    *others, last = _layers(block)
    with torch.no_grad():
        for layer in others:
            channels = layer.norm1.num_features  # the maps that this layer reads come first in the last one's
            layer.conv1.weight.copy_(last.conv1.weight[:, :channels])
            _copy(layer.norm1, last.norm1, 0, channels)
    return block


class ResidualTwin(nn.Module):
    """The residual network r <- r + f_k(g_k(r)) made from a dense block's halves: (N, C, H, W) -> all maps, as the block.

    `first` is f_0, which turns the block's input into the first state; `blocks` are the residual branches f_k(g_k(r)).
    The maps h_k = g_k(r) are what a dense block puts out; a residual network computes them inside its branches.
    """

    def __init__(self, block: DenseBlock) -> None:
        super().__init__()
        layers = list(_layers(block))
        last, channels = layers[-1], [layer.norm1.num_features for layer in layers]
        edges = [0, *channels]
        reads = [_reader(last, start, end) for start, end in zip(edges, channels, strict=False)]
        self.first = reads[0]
        self.inner = nn.ModuleList(
            copy.deepcopy(nn.Sequential(layer.norm2, nn.ReLU(), layer.conv2)) for layer in layers
        )
        self.outer = nn.ModuleList(reads[1:])

    def forward(self, x: Tensor) -> Tensor:
        """Return x and the maps of all layers."""
        r, maps = self.first(x), [x]
        for number, g in enumerate(self.inner):
            h = g(r)
            maps.append(h)
            if number < len(self.outer):
                r = r + self.outer[number](h)
        return torch.cat(maps, 1)


def _layers(block: DenseBlock) -> Iterator[DenseLayer]:
    yield from block.children()  # type: ignore[misc]


def _copy(norm: nn.BatchNorm2d, source: nn.BatchNorm2d, start: int, end: int) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(norm, name).copy_(getattr(source, name)[start:end])


def _reader(layer: DenseLayer, start: int, end: int) -> nn.Sequential:
    """Return the part of norm, relu and 1x1 convolution with which `layer` reads channels `start` to `end`."""
    weight = layer.conv1.weight
    norm = nn.BatchNorm2d(end - start, dtype=weight.dtype)
    conv = nn.Conv2d(end - start, layer.conv1.out_channels, 1, bias=False, dtype=weight.dtype)
    with torch.no_grad():
        _copy(norm, layer.norm1, start, end)
        conv.weight.copy_(weight[:, start:end])
    return nn.Sequential(norm, nn.ReLU(), conv)


def difference(block: nn.Module, twin: nn.Module, x: Tensor) -> float:
    """Return the largest difference of maps and of input gradients, in both modes, over the largest value."""
    largest = 0.0
    for training_mode in (True, False):
        found = []
        for network in (block, twin):
            own = x.clone().requires_grad_()
            maps = network.train(training_mode)(own)
            (gradient,) = torch.autograd.grad(maps.pow(2).mean(), own)
            found.append((maps.detach(), gradient))
        for ours, theirs in zip(*found, strict=True):
            largest = max(largest, float((ours - theirs).abs().max() / ours.abs().max()))
    return largest


def arms(settings: Settings) -> Sequence[str]:
    """Return the tied block and the control."""
    return ("shared", "own")


def run(settings: Settings, arm: str, seed: int, context: Context) -> dict[str, Any]:
    """Build both networks and compare them."""
    training.seed_everything(seed)
    block = DenseBlock(settings.layers, settings.in_channels, settings.growth_rate)
    he_init(block)
    with torch.no_grad():
        for module in block.modules():
            if isinstance(module, nn.BatchNorm2d):  # values that no initialisation has
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
    block.double()
    x = torch.randn(settings.images, settings.in_channels, settings.side, settings.side, dtype=torch.double)
    if arm == "shared":
        share(block)
    twin = ResidualTwin(block)
    return {
        "difference": difference(block, twin, x),
        "parameters_block": float(sum(p.numel() for p in block.parameters())),
        "parameters_twin": float(sum(p.numel() for p in twin.parameters())),
    }


EXPERIMENT = Experiment(
    name="dense_sharing", title="A dense block with shared connections, and the residual network that it is",
    claims=("C31",),
    scales={
        "live": Settings(layers=4, growth_rate=4),
        "quick": Settings(),
        "full": Settings(layers=48, in_channels=64, growth_rate=32, images=16, side=14),
    },
    arms=arms, run=run,
)  # fmt: skip
