"""Pre-activation unit (He et al. 2016, arXiv:1603.05027, figure 1b): normalise, rectify, convolve, and add last.

    y = x + conv . relu . bn . conv . relu . bn (x)       nothing after the sum

What one unit passes on reaches every later one unchanged. The survey says, after [41], that it lowers depth and adds width;
the order changes neither (erratum E13): that network is pre-activated *and* wide. The network is
`resnetbook.timeline.resnet_v2`; here is the same unit in the form that the other units of this section have.
Section 4.3(6), claims C10 to C13.
"""

from torch import Tensor

from resnetbook.structure.residual_unit._unit import ResidualUnit, pre_activation_branch
from resnetbook.timeline._checks import he_init

__all__ = ["PreActivationUnit"]


class PreActivationUnit(ResidualUnit):
    """Two pre-activated 3x3 convolutions. Shape: (N, channels, H, W), kept.

    Args:
        channels: of x and y.
        inner: channels between the two; None: `channels`. More of them: the wide unit of [41].

    Raises:
        ValueError: a size below 1; in `forward` maps of another form.
    """

    def __init__(self, channels: int, inner: int | None = None) -> None:
        super().__init__(channels)
        self.layers = pre_activation_branch(channels, inner)
        he_init(self)

    def branch(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        return self.layers(x)
