"""Which modules have a weight matrix or kernel, and where the gradient of that weight can be met."""

from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

__all__ = ["Kind", "kind_of"]

# "parameter": the weight is a parameter, of a lazy layer too, or another leaf of the graph.
# "parametrised": each call computes it (torch.nn.utils.parametrize).
# "attribute": a forward pre-hook computes it and leaves it as an attribute (pruning, torch.nn.utils.weight_norm).
Kind = Literal["parameter", "parametrised", "attribute"]


def kind_of(module: nn.Module) -> Kind | None:
    """Return how `module` holds its weight, None where it has no weight of two dimensions or more."""
    weight = module._parameters.get("weight")
    if isinstance(weight, UninitializedParameter):
        # Not known yet how many dimensions it will have; among torch's lazy layers those of normalisation have one.
        becomes = module.cls_to_become if isinstance(module, LazyModuleMixin) else None
        return None if becomes is not None and issubclass(becomes, _NormBase) else "parameter"
    if weight is not None:
        return "parameter" if weight.dim() >= 2 else None
    if parametrize.is_parametrized(module, "weight"):
        # Not asked of the weight itself: to compute it can change it (spectral normalisation iterates).
        originals = module.parametrizations["weight"].parameters(recurse=False)  # type: ignore[index, union-attr]
        matrix = isinstance(module, nn.Linear | _ConvNd) or any(p.dim() >= 2 for p in originals)
        return "parametrised" if matrix else None
    weight = vars(module).get("weight")
    if not isinstance(weight, Tensor) or weight.dim() < 2:
        return None
    return "parameter" if weight.is_leaf and weight.requires_grad else "attribute"
