"""Section 4.2 of the survey: ten ways to make a map smaller, one idea a file, each in the place of any other.

make_pool("stochastic", kernel_size=2, stride=2)
"""

from resnetbook.structure.pooling.adaptive import SpatialPyramidPool2d
from resnetbook.structure.pooling.chunk_max import ChunkMaxPool1d, ChunkMaxPool2d
from resnetbook.structure.pooling.fixed import AveragePool2d, MaxPool2d, OverlappingPool2d
from resnetbook.structure.pooling.k_max import KMaxPool1d, KMaxPool2d, dynamic_k
from resnetbook.structure.pooling.making import NAMES, make_pool
from resnetbook.structure.pooling.mixed import GatedPool2d, MixedPool2d
from resnetbook.structure.pooling.parallel import ParallelPool2d
from resnetbook.structure.pooling.roi import RoIPool2d
from resnetbook.structure.pooling.stochastic import StochasticPool2d

__all__ = [
    "NAMES",
    "AveragePool2d",
    "ChunkMaxPool1d",
    "ChunkMaxPool2d",
    "GatedPool2d",
    "KMaxPool1d",
    "KMaxPool2d",
    "MaxPool2d",
    "MixedPool2d",
    "OverlappingPool2d",
    "ParallelPool2d",
    "RoIPool2d",
    "SpatialPyramidPool2d",
    "StochasticPool2d",
    "dynamic_k",
    "make_pool",
]
