"""Residual network and bidirectional LSTM (Stafylakis & Tzimiropoulos 2017, arXiv:1703.04105): words read from lips.

    frames -> 3D convolution over 5 frames -> pre-activation ResNet, frame by frame -> LSTM forwards, LSTM backwards -> scores

A front of one 3D convolution sees short movements; the residual trunk turns each frame into 256 numbers; the recurrent part
reads them in order, once from each end. Scores are given at every frame, and their log-probabilities averaged. The survey
calls it speech recognition; it reads lips (erratum E23). As in the author's code the two directions are two LSTMs of two
layers that meet only at the top: 2,105,344 parameters; torch's own `bidirectional=True` lets them meet after each layer and
has 2,629,632. Section 4.5(5), claim C84.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from resnetbook.timeline._checks import check_positive, he_init
from resnetbook.timeline.resnet_v2 import PreActBlock

__all__ = ["BothWays", "CnnLSTM", "FrameTrunk"]


class FrameTrunk(nn.Module):
    """The pre-activation network on one frame: (N, widths[0], H, W) -> (N, features).

    The first unit has no pre-activation of its own, since the front ends with one. 21,405,184 parameters with the blocks of
    ResNet-34, 11,297,024 with those of ResNet-18, for 256 features.

    Args:
        blocks: units of each stage.
        widths: channels of each stage.
        features: numbers that come out.

    Raises:
        ValueError: stages without blocks or widths, a size below 1.
    """

    def __init__(self, blocks: Sequence[int], widths: Sequence[int], features: int) -> None:
        super().__init__()
        if not blocks or len(blocks) != len(widths):
            raise ValueError(
                f"widths={tuple(widths)}: expected one for each of the stages blocks={tuple(blocks)}"
            )
        check_positive(features=features)
        stages, channels = [], widths[0]
        for number, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            check_positive(blocks=count, widths=width)
            units = [PreActBlock(channels, width, stride=1 if number == 0 else 2)]
            units += [PreActBlock(width, width) for _ in range(count - 1)]
            stages.append(nn.Sequential(*units))
            channels = width
        stages[0][
            0
        ].bn1 = nn.Identity()  # the front ends with one, and its ReLU leaves this unit's nothing to do
        self.stages = nn.Sequential(*stages)
        self.norm = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.features = nn.Linear(channels, features)
        self.norm_features = nn.BatchNorm1d(features)
        he_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of each frame."""
        return self.norm_features(self.features(self.norm(self.stages(x)).mean((2, 3))))


class BothWays(nn.Module):
    """Two LSTMs, one on the sequence and one on the reversed sequence. Shape: (N, T, features) -> (N, T, 2 hidden).

    Args:
        features: numbers of a frame.
        hidden: units of each direction.
        layers: of each direction.
    """

    def __init__(self, features: int, hidden: int, layers: int = 2) -> None:
        super().__init__()
        check_positive(features=features, hidden=hidden, layers=layers)
        self.forwards = nn.LSTM(features, hidden, layers, batch_first=True)
        self.backwards = nn.LSTM(features, hidden, layers, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return what both have read up to each frame, from either end."""
        return torch.cat([self.forwards(x)[0], self.backwards(x.flip(1))[0].flip(1)], 2)


class CnnLSTM(nn.Module):
    """Clips to scores for each frame: (N, T, H, W) grey -> (N, T, num_classes).

    Args:
        num_classes: words.
        blocks: units of the trunk's stages; (3, 4, 6, 3) is ResNet-34.
        widths: channels of the stages; the first is the front's too.
        features: of a frame.
        hidden: units of each LSTM.
        layers: of each LSTM.
        recurrent: False: a linear layer of the same output in place of the LSTMs, each frame for itself.

    Raises:
        ValueError: a size below 1, stages without blocks or widths; in `forward` clips of another form or below 8 pixels.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        blocks: Sequence[int] = (3, 4, 6, 3),
        widths: Sequence[int] = (64, 128, 256, 512),
        features: int = 256,
        hidden: int = 256,
        layers: int = 2,
        recurrent: bool = True,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, hidden=hidden)
        self.front = nn.Sequential(
            nn.Conv3d(1, widths[0], (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            nn.BatchNorm3d(widths[0]),
            nn.ReLU(),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )
        self.trunk = FrameTrunk(blocks, widths, features)
        self.sequence = BothWays(features, hidden, layers) if recurrent else nn.Linear(features, 2 * hidden)
        self.score = nn.Linear(2 * hidden, num_classes)

    def frames(self, x: Tensor) -> Tensor:
        """Return the features of each frame, (N, T, features)."""
        if x.dim() != 4 or min(x.shape[2:]) < 8 or x.shape[1] < 1:
            raise ValueError(f"x of shape {tuple(x.shape)}: expected clips (N, T, H, W) of 8 pixels or more")
        maps = self.front(x[:, None]).transpose(1, 2)  # (N, T, C, H', W')
        return self.trunk(maps.flatten(0, 1)).unflatten(0, maps.shape[:2])

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of each frame."""
        return self.score(self.sequence(self.frames(x)))

    def log_probabilities(self, x: Tensor) -> Tensor:
        """Return the clip's log-probabilities, the mean over its frames, (N, num_classes)."""
        return self(x).log_softmax(2).mean(1)
