"""Both versions of Inception-ResNet as data: stem, modules and reductions (arXiv:1602.07261, figures 7 and 10 to 19)."""

from resnetbook.timeline._branches import Conv, Max, Mean, Step, Table
from resnetbook.timeline.inception import halve

# Modules of both versions on maps of 35, 17 and 8 pixels; the scales are TF-slim's, the last of them the last module's.
SCALES = (0.17, 0.10, 0.20, 1.0)


def block35(a: int, b: int) -> Table:
    """Figures 10 and 16: version 1 has 32 channels throughout, version 2 widens its third branch."""
    return {
        "branch0": (Conv(32),),
        "branch1": (Conv(32), Conv(32, 3)),
        "branch2": (Conv(32), Conv(a, 3), Conv(b, 3)),
    }


def factorised(short: int, widths: tuple[int, int, int], n: int) -> Table:
    """Figures 11, 13, 17 and 19: a 1x1 convolution beside 1x1, 1xn and nx1."""
    return {
        "branch0": (Conv(short),),
        "branch1": (Conv(widths[0]), Conv(widths[1], (1, n)), Conv(widths[2], (n, 1))),
    }


def reduction_a(inner: int, middle: int, last: int) -> Table:
    """Figure 7: 35 -> 17 pixels."""
    return {
        "branch0": (halve(384),),
        "branch1": (Conv(inner), Conv(middle, 3), halve(last)),
        "branch2": (Max(),),
    }


def reduction_b(widths: tuple[int, int, int]) -> Table:
    """Figures 12 and 18: 17 -> 8 pixels."""
    a, b, c = widths
    return {
        "branch0": (Conv(256), halve(384)),
        "branch1": (Conv(256), halve(a)),
        "branch2": (Conv(256), Conv(b, 3), halve(c)),
        "branch3": (Max(),),
    }


STEM: list[Step | Table] = [  # figure 14 up to 192 channels: 299 -> 71 pixels
    halve(32),
    Conv(32, 3, valid=True),
    Conv(64, 3),
    Max(),
    Conv(80),
    Conv(192, 3, valid=True),
]
# Five tables for each version: the module of 35 pixels, its reduction, that of 17, its reduction, that of 8.
V1 = (
    block35(32, 32),
    reduction_a(192, 192, 256),
    factorised(128, (128, 128, 128), 7),
    reduction_b((256, 256, 256)),
    factorised(192, (192, 192, 192), 3),
)
V2 = (
    block35(48, 64),
    reduction_a(256, 256, 384),
    factorised(192, (128, 160, 192), 7),
    reduction_b((288, 288, 320)),
    factorised(192, (192, 224, 256), 3),
)
# In the paper version 2 has the stem of Inception-v4 (figure 3); TF-slim's, here as in timm, ends like this.
V2_MIXED_5B: Table = {
    "branch0": (Conv(96),),
    "branch1": (Conv(48), Conv(64, 5)),
    "branch2": (Conv(64), Conv(96, 3), Conv(96, 3)),
    "branch3": (Mean(64),),
}
