"""The survey's figures 1 and 2, drawn anew: the classical residual network and the residual block."""

from collections.abc import Callable
from dataclasses import dataclass

from resnetbook.sphinx_ext import svg
from resnetbook.sphinx_ext.links import Links
from resnetbook.sphinx_ext.timeline import timeline

PRINCIPLE = "chapters/2_principle/"


@dataclass(frozen=True)
class Stage:
    """One stage of the classical residual network.

    Attributes:
        lines: what the box says.
        note: what stands beside it.
        page: the page that explains it.
        residual: whether a shortcut runs round it.
    """

    lines: tuple[str, ...]
    note: tuple[str, ...]
    page: str
    residual: bool = False


NETWORK = (
    Stage(("image",), ("3 channels", "224 × 224"), "chapters/1_introduction/introduction"),
    Stage(("convolution 7×7, /2",), ("64 channels", "112 × 112"), "chapters/1_introduction/introduction"),
    Stage(("max pooling 3×3, /2",), ("56 × 56",), "chapters/1_introduction/introduction"),
    Stage(("residual blocks",), ("64 channels", "56 × 56"), PRINCIPLE + "residual_block", True),
    Stage(("residual blocks",), ("128 channels", "28 × 28"), PRINCIPLE + "residual_block", True),
    Stage(("residual blocks",), ("256 channels", "14 × 14"), PRINCIPLE + "degradation", True),
    Stage(("residual blocks",), ("512 channels", "7 × 7"), PRINCIPLE + "gradient_flow", True),
    Stage(("global average pooling",), ("512 numbers",), "chapters/1_introduction/introduction"),
    Stage(("fully connected",), ("one score a class",), "chapters/1_introduction/introduction"),
)


def network(links: Links) -> str:
    """Return figure 1: ResNet-18 and ResNet-34 as a column of stages; the shortcuts run on the left."""
    width, box_width, height, gap, left = 340.0, 166.0, 34.0, 28.0, 50.0
    parts = []
    for index, stage in enumerate(NETWORK):
        y = 8 + index * (height + gap)
        if stage.residual:
            parts.append(svg.text(12, y + height / 2 + 5, "x", kind="rb-math rb-identity-text"))
        middle = left + box_width / 2
        if index:
            parts.append(svg.arrow([(middle, y - gap), (middle, y - 1)]))
        if stage.residual:
            x, above, below = left - 26, y - 0.62 * gap, y + height + 0.18 * gap
            parts.append(
                svg.arrow([(middle, above), (x, above), (x, below), (middle - 1, below)], "rb-identity")
            )
        kind = "rb-accent" if stage.residual else ""
        label = f"{stage.lines[0]}: {', '.join(stage.note)}"
        content = svg.box(left, y, box_width, height, stage.lines, kind)
        parts.append(svg.linked(content, links.page(stage.page), label))
        first = y + height / 2 + 5 - 8 * (len(stage.note) - 1)
        for row, line in enumerate(stage.note):
            parts.append(
                svg.text(left + box_width + 12, first + 16 * row, line, kind="rb-small", anchor="start")
            )
    total = 8 + len(NETWORK) * (height + gap)
    return svg.drawing(
        "survey-figure-1",
        width,
        total - gap + 8,
        "".join(parts),
        title="The classical residual network",
        description="A column of stages from the image to the class scores: a 7 by 7 convolution, max pooling, four "
        "groups of residual blocks with 64, 128, 256 and 512 channels, global average pooling and a fully connected "
        "layer. A shortcut runs past the blocks of each group.",
        caption="The survey's figure 1, drawn anew with the sizes of ResNet-18 and ResNet-34. Each group holds "
        "several blocks, and each block has its own shortcut (blue). The first block of a group halves height and "
        "width by its stride: beside the one max pooling and the last average there is no pooling layer.",
    )


def block(links: Links) -> str:
    """Return figure 2: the residual block with both of its paths."""
    middle, page = 130.0, PRINCIPLE + "residual_block"
    parts = [
        svg.text(middle, 20, "x", kind="rb-math"),
        svg.arrow([(middle, 28), (middle, 74)]),
        svg.linked(
            svg.box(55, 75, 150, 36, ("weight layer",), "rb-accent"), links.page(page), "First weight layer"
        ),
        svg.arrow([(middle, 111), (middle, 153)]),
        svg.text(middle + 10, 137, "ReLU", kind="rb-small", anchor="start"),
        svg.linked(
            svg.box(55, 154, 150, 36, ("weight layer",), "rb-accent"), links.page(page), "Second weight layer"
        ),
        svg.arrow([(middle, 190), (middle, 226)]),
        svg.plus(middle, 240),
        svg.arrow([(middle, 253), (middle, 296)]),
        svg.text(middle + 10, 280, "ReLU", kind="rb-small", anchor="start"),
        svg.text(middle, 316, "H(x) = F(x) + x", kind="rb-math"),
        svg.text(30, 137, "F(x)", kind="rb-math"),
        svg.arrow([(middle, 48), (258, 48), (258, 240), (144, 240)], "rb-identity"),
    ]
    name = svg.text(264, 137, "identity", kind="rb-identity-text", anchor="start") + svg.text(
        264, 155, "x", kind="rb-math rb-identity-text", anchor="start"
    )
    parts.append(
        svg.linked(name, links.page(PRINCIPLE + "gradient_flow"), "Identity path: the flow of the gradient")
    )
    return svg.drawing(
        "survey-figure-2",
        340,
        326,
        "".join(parts),
        title="The residual block",
        description="The input x takes two paths. One leads through two weight layers with a ReLU between them and "
        "gives F of x; the other, the identity, leads past them. Their sum, after a ReLU, is the output H of x.",
        caption="The survey's figure 2 with its equation (1): the block's output is <i>H</i>(<i>x</i>) = "
        "<i>F</i>(<i>x</i>) + <i>x</i>, followed by a ReLU. What the layers have to learn is "
        "<i>F</i>(<i>x</i>) = <i>H</i>(<i>x</i>) − <i>x</i>.",
    )


FIGURES: dict[str, Callable[[Links], str]] = {"1": network, "2": block, "3": timeline}


def figure(number: str, links: Links) -> str:
    """Return one of the survey's figures as HTML.

    Raises:
        ValueError: there is no such figure.
    """
    if number not in FIGURES:
        raise ValueError(f"figure {number!r} is not drawn, expected one of {', '.join(FIGURES)}")
    return FIGURES[number](links)
