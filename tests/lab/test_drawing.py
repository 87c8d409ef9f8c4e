"""The picture of a module says what the module does: its operations, their order, and where paths part and meet."""

from itertools import pairwise

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from resnetbook.lab import drawing
from resnetbook.lab.tracing import steps
from resnetbook.principle.block import BasicBlock


class Branches(nn.Module):
    """Two convolutions on one input, one of them grouped, joined."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(4, 6, (1, 7), padding=(0, 3))
        self.b = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1, groups=2), nn.Identity(), nn.ReLU())

    def forward(self, x):
        return torch.cat([self.a(x), self.b(x)], 1)


def test_a_residual_block_is_a_branch_a_passing_edge_and_a_sum():
    x, branch, joint, relu = steps(BasicBlock(4, 4), (4, 8, 8))
    assert branch.lines == ["3×3 conv, 4", "batch norm", "relu", "3×3 conv, 4", "batch norm"]
    assert (x.lines, joint.lines, relu.lines) == (["x"], ["+"], ["relu"])
    assert sorted(joint.inputs) == [0, 1]
    assert joint.joint


def test_a_plain_block_has_no_sum():
    found = steps(BasicBlock(4, 4, residual=False), (4, 8, 8))
    assert [step.joint for step in found] == [False, False]
    assert found[1].lines[-1] == "relu"


def test_a_shortcut_that_changes_the_shape_is_a_box_of_its_own():
    found = steps(BasicBlock(4, 8, stride=2, shortcut="A"), (4, 9, 9))
    (box,) = [step for step in found if step.lines == ["subsample, zero pad"]]
    assert box.shape == (8, 5, 5)


def test_parallel_branches_meet_in_a_concatenation_with_their_channels_added():
    _, a, b, joint = steps(Branches(), (4, 8, 8))
    assert a.lines == ["1×7 conv, 6"]
    assert b.lines == ["3×3 conv, 8, 2 groups", "relu"]  # an identity is no step
    assert (joint.lines, joint.inputs, joint.shape) == (["concat"], [1, 2], (14, 8, 8))


def test_describe_names_a_module_that_is_not_entered():
    found = steps(
        Branches(), (4, 8, 8), describe=lambda m: "two layers" if isinstance(m, nn.Sequential) else None
    )
    assert ["two layers"] in [step.lines for step in found]


def test_no_box_stands_on_another_and_no_passing_edge_crosses_one():
    every = (Branches(), BasicBlock(4, 4))
    for spots in (drawing._layout(steps(part, (4, 8, 8))) for part in every):
        for layer in {spot.layer for spot in spots}:
            xs = sorted(
                (spot.x, 0.5 if spot.step is not None else 0.17) for spot in spots if spot.layer == layer
            )
            for (left, a), (right, b) in pairwise(xs):
                assert right - left >= a + b - 1e-9


def test_the_module_keeps_its_mode_and_its_statistics():
    block = BasicBlock(4, 4).train()
    before = block.bn1.running_mean.clone()
    steps(block, (4, 8, 8))
    assert block.training
    assert torch.equal(block.bn1.running_mean, before)


def test_a_figure_shows_every_word():
    figure = drawing.blocks([("one", BasicBlock(4, 4), (4, 8, 8)), ("two", Branches(), (4, 8, 8))])
    words = [text.get_text() for ax in figure.axes for text in ax.texts]
    titles = [ax.get_title() for ax in figure.axes]
    plt.close(figure)
    assert titles == ["one", "two"]
    assert words.count("3×3 conv, 4") == 2
    assert "concat" in words


class Loops(nn.Module):
    """Depends on a value."""

    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: steps(BasicBlock(4, 4), (4, 0, 8)), "shape=\\(4, 0, 8\\)"),
        (lambda: steps(Loops(), (4, 8, 8)), "module=Loops: torch.fx cannot follow"),
        (lambda: drawing.blocks([]), "parts is empty"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_panels_of_different_size_share_one_scale():
    figure = drawing.blocks([("wide", Branches(), (4, 8, 8)), ("narrow", nn.Conv2d(4, 4, 3), (4, 8, 8))])
    figure.canvas.draw()
    scales = [ax.bbox.width / (ax.get_xlim()[1] - ax.get_xlim()[0]) for ax in figure.axes]
    plt.close(figure)
    assert scales[0] == pytest.approx(scales[1], rel=0.02)


def test_a_box_is_as_wide_as_its_longest_line():
    longest = nn.Sequential(nn.Conv2d(4096, 4096, 3, stride=2, groups=1024))
    figure = drawing.block(longest, (4096, 8, 8))
    figure.canvas.draw()
    (ax,) = figure.axes
    lines = [text.get_window_extent() for text in ax.texts]
    (box,) = [patch.get_window_extent() for patch in ax.patches]
    plt.close(figure)
    inside = [line for line in lines if line.y1 <= box.y1]
    assert len(inside) == 2  # the operation and its shape
    assert all(box.x0 < line.x0 and line.x1 < box.x1 for line in inside)
