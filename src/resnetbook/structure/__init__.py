"""Section 4 of the survey: five axes along which a residual network can be changed.

`convolution`, `pooling`, `residual_unit` and `fully_connected` hold one method a file and are imported by name; `structure_net`
puts any unit, pooling and head into one and the same network.
"""

from resnetbook.structure.structure_net import StructureNet

__all__ = ["StructureNet"]
