"""What hooks can see: code that a compiler has taken over runs without them, a backward pass may run a layer again."""

import sys
from types import FrameType

import torch
from torch import nn

__all__ = ["backward_pass", "compiled_part", "in_backward", "in_compiled_call"]


def compiled_part(model: nn.Module) -> str | None:
    """Return which part of `model` is compiled and how, None where all of it runs in eager mode.

    Seen are `torch.compile` around a module, its method `compile`, a compiled `forward`, and TorchScript. Unseen is a
    compiled function that calls the model: see `in_compiled_call`.
    """
    for name, module in model.named_modules():
        where = f"its part {name!r} is" if name else "it is"
        if isinstance(module, torch.jit.ScriptModule):
            return f"{where} compiled (TorchScript)"
        forward = getattr(module, "forward", None)
        wrapped = "_orig_mod" in module._modules or hasattr(forward, "_torchdynamo_orig_callable")
        # `torch.compiler.disable` wraps in the same way.
        disabled = getattr(forward, "_torchdynamo_disable", False) or (
            type(vars(module).get("dynamo_ctx")).__name__ == "DisableContext"
        )
        if (wrapped and not disabled) or getattr(module, "_compiled_call_impl", None) is not None:
            return f"{where} compiled (torch.compile)"
    return None


def in_compiled_call(depth: int = sys.maxsize) -> bool:
    """Return whether one of the `depth` callers nearest by is what `torch.compile` puts around a function or module."""
    if torch.compiler.is_compiling():
        return True
    if "torch._dynamo.eval_frame" not in sys.modules:
        return False
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and depth > 0:
        # By qualified name: what `torch.compiler.disable` puts around checkpointing and optimisers is in that file too.
        code = frame.f_code
        if code.co_qualname.startswith("_TorchDynamoContext.") and code.co_filename.endswith("eval_frame.py"):
            return True
        frame, depth = frame.f_back, depth - 1
    return False


# The number of the backward pass that runs in this thread, -1 where none runs; torch's own checkpointing asks the same.
backward_pass = torch._C._current_graph_task_id


def in_backward() -> bool:
    """Return whether a backward pass runs in this thread: a forward call is then a recomputation."""
    return backward_pass() != -1
