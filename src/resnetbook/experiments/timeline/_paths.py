"""One network whose blocks add what they write to the state, append it, or both: DPN and its two limits."""

from __future__ import annotations

from typing import Any

from resnetbook.timeline.dual_path import DPN


def two_paths(settings: Any, added: int, appended: int, groups: int, **of: int) -> DPN:
    """Build DPN for small images: three stages of `settings.blocks` blocks.

    Args:
        settings: with blocks, inner_width and resnet_widths, the first of which is the stem's.
        added: residual width of the first stage; 0 for concatenations alone.
        appended: dense increment; 0 for sums alone.
        groups: of the 3x3 convolutions.
        **of: num_classes and in_channels.
    """
    return DPN(
        stages=(settings.blocks,) * 3,
        dense_increments=(appended,) * 3,
        residual_width=added,
        inner_width=settings.inner_width,
        groups=groups,
        stem_width=settings.resnet_widths[0],
        small_input=True,
        **of,
    )
