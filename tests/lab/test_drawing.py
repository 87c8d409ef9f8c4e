"""The picture of a module says what the module does: its operations, their order, and where paths part and meet."""

from itertools import pairwise

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from resnetbook.lab import drawing
from resnetbook.lab.tracing import Step, steps
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


# x feeds a, b and a late sum; a feeds c; b and c meet: three boxes beside each other and edges past one, two and three layers.
LOPSIDED = [
    Step(["x"], [], (4, 8, 8)),
    Step(["a"], [0], (4, 8, 8)),
    Step(["b"], [0], (4, 8, 8)),
    Step(["d"], [0], (4, 8, 8)),
    Step(["c"], [1], (4, 8, 8)),
    Step(["+"], [4, 2], (4, 8, 8), joint=True),
    Step(["+"], [5, 0], (4, 8, 8), joint=True),
    Step(["+"], [6, 3], (4, 8, 8), joint=True),
]


@pytest.mark.parametrize("found", [LOPSIDED, LOPSIDED[:5], LOPSIDED[:2]])
def test_each_step_stands_below_its_inputs_and_a_row_in_the_middle_of_what_reads_it(found):
    spots = drawing._layout(found)
    assert [spot.step for spot in spots if spot.step is not None] == list(range(len(found)))
    for spot in spots:
        assert all(spots[i].layer == spot.layer - 1 for i in spot.inputs)  # edges span one layer
        if spot.step is not None:
            assert spot.layer == max((spots[i].layer + 1 for i in spot.inputs), default=0)
    readers = {s: [t for t in range(len(spots)) if s in spots[t].inputs] for s in range(len(spots))}
    for layer in range(max(spot.layer for spot in spots)):
        row = sorted((s for s in range(len(spots)) if spots[s].layer == layer), key=lambda s: spots[s].x)
        widths = [0.35 if spots[s].step is None else 1.0 for s in row]
        for a, b, w, v in zip(row, row[1:], widths, widths[1:], strict=False):
            assert spots[b].x - spots[a].x == pytest.approx((w + v) / 2)  # side by side
        if all(readers[s] for s in row):
            wishes = [sum(spots[t].x for t in readers[s]) / len(readers[s]) for s in row]
            assert wishes == sorted(wishes)
            left, right = spots[row[0]].x - widths[0] / 2, spots[row[-1]].x + widths[-1] / 2
            assert (left + right) / 2 == pytest.approx(sum(wishes) / len(wishes))


def crosses(line, box) -> bool:
    """Whether a broken line runs through the inside of a box, followed in small steps."""
    x0, x1, y0, y1 = box.get_x(), box.get_x() + box.get_width(), box.get_y(), box.get_y() + box.get_height()
    for (ax, ay), (bx, by) in pairwise(line.get_xydata()):
        for t in (i / 50 for i in range(51)):
            x, y = ax + t * (bx - ax), ay + t * (by - ay)
            if x0 + 0.01 < x < x1 - 0.01 and y0 + 0.01 < y < y1 - 0.01:
                return True
    return False


@pytest.mark.parametrize("module", [Branches(), BasicBlock(4, 8, stride=2, shortcut="A"), BasicBlock(4, 4)])
def test_lines_of_text_stand_evenly_in_their_box_and_no_edge_runs_through_one(module):
    figure = drawing.block(module, (4, 8, 8))
    (ax,) = figure.axes
    edges = [line for line in ax.lines if len(line.get_xdata()) == 4]
    assert edges
    for box in ax.patches:
        low, high = box.get_y(), box.get_y() + box.get_height()
        centre = box.get_x() + box.get_width() / 2
        places = [text.get_position() for text in ax.texts]
        inside = [y for x, y in places if low < y < high and abs(x - centre) < 1e-9]
        assert inside == sorted(inside, reverse=True)  # read downwards
        gaps = [high - inside[0], *(a - b for a, b in pairwise(inside)), inside[-1] - low]
        assert gaps[0] == pytest.approx(gaps[-1])
        assert all(gap == pytest.approx(drawing._LINE) for gap in gaps[1:-1])
        assert drawing._LINE / 2 < gaps[0] < drawing._LINE
        assert not any(crosses(edge, box) for edge in edges)
    boxed = {text.get_text() for text in ax.texts}
    plt.close(figure)
    for step in steps(module, (4, 8, 8)):
        assert set(step.lines) <= boxed


def test_an_edge_leads_from_the_foot_of_a_box_to_the_head_of_the_next():
    figure = drawing.block(nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU()), (4, 8, 8))
    (ax,), (box,) = figure.axes, figure.axes[0].patches
    (edge,) = [line for line in ax.lines if len(line.get_xdata()) == 4]
    x, name = ax.texts[0].get_position(), ax.texts[0].get_text()
    assert name == "x"
    assert edge.get_ydata()[0] == pytest.approx(x[1] - 0.55 / 2)
    assert edge.get_ydata()[-1] == pytest.approx(box.get_y() + box.get_height())
    assert edge.get_ydata()[0] > edge.get_ydata()[-1]
    assert [text.get_text() for text in ax.texts][1:] == ["4 × 8 × 8", "3×3 conv, 6", "relu", "→ 6 × 6 × 6"]
    plt.close(figure)


@pytest.mark.parametrize(
    ("count", "columns", "grid"),
    [(1, 3, (1, 1)), (3, 3, (1, 3)), (4, 3, (2, 3)), (4, 2, (2, 2)), (5, 2, (3, 2))],
)
def test_panels_fill_rows_of_at_most_so_many_columns(count, columns, grid):
    part = nn.Conv2d(4, 4, 3)
    figure = drawing.blocks([(f"part {n}", part, (4, 8, 8)) for n in range(count)], columns=columns)
    shape = figure.axes[0].get_gridspec().get_geometry()
    titles = [ax.get_title() for ax in figure.axes]
    assert not any(ax.axison for ax in figure.axes)
    plt.close(figure)
    assert shape == grid
    assert titles == [f"part {n}" for n in range(count)] + [""] * (grid[0] * grid[1] - count)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Conv2d(4, 4, (5, 3)), "5×3 conv, 4"),
        (nn.Conv2d(4, 8, 1, stride=2, groups=2), "1×1 conv, 8, 2 groups, stride 2"),
        (nn.MaxPool2d(3, stride=1), "3×3 max pool"),
        (nn.MaxPool2d(3, stride=(1, 1)), "3×3 max pool"),
        (nn.MaxPool2d((3, 2), stride=2), "3×2 max pool, stride 2"),
        (nn.AvgPool2d(2), "2×2 mean pool, stride 2"),
        (nn.AdaptiveAvgPool2d(1), "global mean"),
        (nn.BatchNorm2d(4), "batch norm"),
        (nn.Linear(8, 3), "linear, 3"),
        (nn.Tanh(), "tanh"),
        (nn.Dropout(), "Dropout"),
    ],
)
def test_layers_are_named_by_what_they_do(module, words):
    assert [step.lines for step in steps(nn.Sequential(module), (4, 8, 8))] == [["x"], [words]]


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


def test_a_shape_beside_a_step_is_smaller_and_of_another_colour_than_what_a_step_says():
    figure = drawing.block(Branches(), (4, 8, 8))
    (ax,) = figure.axes
    plt.close(figure)
    beside = [text for text in ax.texts if text.get_text() in ("4 × 8 × 8", "14 × 8 × 8")]
    said = [text for text in ax.texts if text not in beside and not text.get_text().startswith("→")]
    assert len(beside) == 2  # the input's and the concatenation's
    assert {text.get_color() for text in beside}.isdisjoint(text.get_color() for text in said)
    assert max(text.get_fontsize() for text in beside) < min(text.get_fontsize() for text in said)


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
