"""Multi-task residual unit (after the survey's [40], Chen & Yang 2017): one encoding, several readers.

    h = x + F(x)                 the unit that every task uses
    y_t = h + A_t h              what task t adds for itself: a 1x1 convolution, 0 at the start

The encoder is computed once, and the gradients of all tasks meet in it: g = g_1 + lambda g_2. The paper's text was not found:
the survey says that segmentation and detection read the same encoding. Adapters of 1x1 are the book's choice; without
them (`tasks=0`) the unit is the ordinary one and tasks differ in their heads alone. Section 4.3(5), claim C59.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from resnetbook.principle.block import conv1x1
from resnetbook.structure.residual_unit._unit import ResidualUnit, pre_activation_branch
from resnetbook.timeline._checks import he_init

__all__ = ["MultiTaskNet", "MultiTaskUnit"]


class MultiTaskUnit(ResidualUnit):
    """A pre-activation unit with an adapter for each task. Shape: (N, channels, H, W), kept.

    Args:
        channels: of x and y.
        tasks: how many tasks have an adapter.

    Raises:
        ValueError: channels below 1, a negative number of tasks; in `forward` maps of another form.
    """

    def __init__(self, channels: int, tasks: int = 2) -> None:
        super().__init__(channels)
        if isinstance(tasks, bool) or not isinstance(tasks, int) or tasks < 0:
            raise ValueError(f"tasks={tasks!r}: expected an integer of 0 or more")
        self.shared = pre_activation_branch(channels)
        he_init(self.shared)
        self.adapters = nn.ModuleList(conv1x1(channels, channels) for _ in range(tasks))
        for adapter in self.adapters:
            nn.init.zeros_(adapter.get_parameter("weight"))

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x), which all tasks share."""
        return self.shared(x)

    def for_task(self, h: Tensor, task: int) -> Tensor:
        """Return what one task reads, from h = x + F(x).

        Raises:
            ValueError: a task that there is not.
        """
        if not 0 <= task < len(self.adapters):
            raise ValueError(f"task={task}: expected 0 to {len(self.adapters) - 1}")
        return h + self.adapters[task](h)


class MultiTaskNet(nn.Module):
    """One trunk, a head for each task.

    Args:
        trunk: (N, C, H, W) -> features.
        heads: from features to a task's answer, by name.

    Raises:
        ValueError: no head.
    """

    def __init__(self, trunk: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if not heads:
            raise ValueError("heads={}: expected at least one task")
        self.trunk = trunk
        self.heads = nn.ModuleDict(heads)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return each task's answer; the trunk runs once."""
        features = self.trunk(x)
        return {name: head(features) for name, head in self.heads.items()}
