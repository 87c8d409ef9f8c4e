"""Section 4.3 of the survey: six residual units, one a file, all of one form: (N, channels, H, W) is kept."""

from resnetbook.structure.residual_unit.cross_connected import CrossConnectedUnit
from resnetbook.structure.residual_unit.making import NAMES, make_units
from resnetbook.structure.residual_unit.multi_branch import MultiBranchUnit
from resnetbook.structure.residual_unit.multi_scale import MultiScaleUnit
from resnetbook.structure.residual_unit.multi_task import MultiTaskNet, MultiTaskUnit
from resnetbook.structure.residual_unit.pre_activation import PreActivationUnit
from resnetbook.structure.residual_unit.shared_weights import SharedWeightsUnit, share, share_weights

__all__ = [
    "NAMES",
    "CrossConnectedUnit",
    "MultiBranchUnit",
    "MultiScaleUnit",
    "MultiTaskNet",
    "MultiTaskUnit",
    "PreActivationUnit",
    "SharedWeightsUnit",
    "make_units",
    "share",
    "share_weights",
]
