"""What a module does to one input, step by step: torch.fx follows the input, and each chain of operations becomes one step.

`resnetbook.lab.drawing` draws these steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

__all__ = ["Describe", "Step", "steps"]

Describe = Callable[[nn.Module], "str | None"]
_JOINTS = {"add": "+", "add_": "+", "iadd": "+", "mul": "×", "imul": "×", "cat": "concat"}
_FUNCTIONS = {
    "mul": "× scale",
    "imul": "× scale",
    "getitem": "part of it",
    "avg_pool2d": "mean pool",
    "max_pool2d": "max pool",
    "pad": "zero pad",
}


@dataclass
class Step:
    """One box of the picture: its lines of text, where its inputs come from, and the shape that it puts out."""

    lines: list[str]
    inputs: list[int] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    joint: bool = False  # a sum, a product, a concatenation


def _pair(value: Any) -> str:
    a, b = value if isinstance(value, tuple) else (value, value)
    return f"{a}×{b}"


def _describe(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d):
        stride = "" if module.stride == (1, 1) else f", stride {module.stride[0]}"
        groups = "" if module.groups == 1 else f", {module.groups} groups"
        return f"{_pair(module.kernel_size)} conv, {module.out_channels}{groups}{stride}"
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        kind = "max" if isinstance(module, nn.MaxPool2d) else "mean"
        stride = "" if module.stride in (1, (1, 1)) else f", stride {module.stride}"
        return f"{_pair(module.kernel_size)} {kind} pool{stride}"
    if isinstance(module, nn.Linear):
        return f"linear, {module.out_features}"
    known = {
        nn.BatchNorm2d: "batch norm",
        nn.ReLU: "relu",
        nn.AdaptiveAvgPool2d: "global mean",
        nn.Tanh: "tanh",
    }
    return known.get(type(module), type(module).__name__)


class _Tracer(fx.Tracer):
    """Enter our modules down to those of torch.nn; `describe` may name a module, which is then one box."""

    def __init__(self, describe: Describe) -> None:
        super().__init__()
        self.describe = describe

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        own = module.__module__.startswith("torch.nn") and not isinstance(module, nn.Sequential)
        return own or self.describe(module) is not None


def _own_names(module: nn.Module) -> str | None:
    return "subsample, zero pad" if type(module).__name__ == "ShortcutA" else None


def steps(module: nn.Module, shape: Sequence[int], *, describe: Describe | None = None) -> list[Step]:
    """Return what `module` does to one input of `shape` (C, H, W), in order; the first step is the input.

    A chain without branches is one step. `describe` may return words for a module, which is then not entered.

    Raises:
        ValueError: a shape with a size below 1, or a module whose forward torch.fx cannot follow.
    """
    if not shape or any(not isinstance(size, int) or size < 1 for size in shape):
        raise ValueError(
            f"shape={tuple(shape)!r}: expected positive sizes of one input, such as (16, 32, 32)"
        )

    def words(part: nn.Module) -> str | None:
        return (describe(part) if describe is not None else None) or _own_names(part)

    was_training = module.training
    module.eval()
    try:
        graph = _Tracer(words).trace(module)
        traced = fx.GraphModule(module, graph)
        with torch.no_grad():
            ShapeProp(traced).propagate(torch.zeros(1, *shape))
    except (fx.proxy.TraceError, TypeError) as error:
        raise ValueError(
            f"module={type(module).__name__}: torch.fx cannot follow its forward ({error})"
        ) from error
    finally:
        module.train(was_training)
    return _merged(_single(graph, dict(traced.named_modules()), words))


def _single(graph: fx.Graph, modules: dict[str, nn.Module], words: Describe) -> list[Step]:
    """One step for each operation; an identity is no step."""
    found: list[Step] = []
    place: dict[fx.Node, int] = {}
    for node in graph.nodes:
        parents = list(dict.fromkeys(place[parent] for parent in node.all_input_nodes if parent in place))
        if node.op in ("output", "get_attr"):
            continue
        step = Step([], parents, _shape(node))
        name = getattr(node.target, "__name__", str(node.target))
        if node.op == "placeholder":
            step.lines = ["x"]
        elif node.op == "call_module":
            part = modules[str(node.target)]
            if isinstance(part, nn.Identity):
                place[node] = parents[0]
                continue
            step.lines = [words(part) or _describe(part)]
        elif name in _JOINTS and len(node.all_input_nodes) > 1:
            step.lines, step.joint = [_JOINTS[name]], True
        else:
            name = name.strip("_")
            step.lines = [_FUNCTIONS.get(name, name)]
        place[node] = len(found)
        found.append(step)
    return found


def _shape(node: fx.Node) -> tuple[int, ...]:
    meta: Any = node.meta.get("tensor_meta")
    return tuple(meta.shape[1:]) if hasattr(meta, "shape") else ()


def _merged(single: list[Step]) -> list[Step]:
    """Join each chain of boxes into one; joints and the input stay alone."""
    readers = [sum(number in step.inputs for step in single) for number in range(len(single))]
    found: list[Step] = []
    place: dict[int, int] = {}
    for number, step in enumerate(single):
        parent = step.inputs[0] if len(step.inputs) == 1 else None
        chain = (
            parent not in (None, 0)
            and readers[parent or 0] == 1
            and not step.joint
            and not single[parent or 0].joint
        )
        if chain:
            place[number] = place[parent or 0]
            before = found[place[number]]
            before.lines, before.shape = before.lines + step.lines, step.shape
        else:
            place[number] = len(found)
            inputs = list(dict.fromkeys(place[i] for i in step.inputs))
            found.append(Step(list(step.lines), inputs, step.shape, step.joint))
    return found
