"""The loss of what a network returns: one tensor, or several outputs of which one is the main one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

Loss = Callable[[Any, Tensor], Tensor]

# What torch's losses take, by the names of functions and modules.
_TAKES = {
    "classes": ("cross_entropy", "nll_loss", "multi_margin_loss", "CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"),
    "logits": (
        "binary_cross_entropy_with_logits", "multilabel_soft_margin_loss",
        "BCEWithLogitsLoss", "MultiLabelSoftMarginLoss",
    ),
    "shares": ("binary_cross_entropy", "BCELoss"),
}  # fmt: skip
_MAIN = ("logits", "out")  # torchvision's names, of its classifiers and of its segmentation networks


class Kind(NamedTuple):
    """What is known of a loss."""

    name: str
    from_torch: bool
    takes: str  # "classes"; of several labels an image "logits" or "shares" in [0, 1]; "" where that is not known
    ignored: int  # the label that does not count


def kind_of(loss: Any) -> Kind:
    """Return what is known of `loss`, also inside a `functools.partial`."""
    keywords: dict[str, Any] = {}
    while isinstance(loss, partial):
        keywords, loss = {**loss.keywords, **keywords}, loss.func
    name = str(getattr(loss, "__name__", type(loss).__name__))
    from_torch = str(getattr(loss, "__module__", "")).startswith("torch.nn.")
    takes = next((word for word, names in _TAKES.items() if from_torch and name in names), "")
    return Kind(name, from_torch, takes, keywords.get("ignore_index", getattr(loss, "ignore_index", -100)))


def named(outputs: Any, prefix: str = "") -> dict[str, Tensor]:
    """Return the tensors among a network's outputs by name, by number where they have none; "1.0" is one within another."""
    if isinstance(outputs, Tensor):
        return {prefix or "output": outputs}
    if hasattr(outputs, "_asdict"):
        outputs = outputs._asdict()
    elif isinstance(outputs, tuple | list):
        outputs = dict(enumerate(outputs))
    found: dict[str, Tensor] = {}
    if isinstance(outputs, Mapping):
        for name, output in outputs.items():
            found |= named(output, f"{prefix}.{name}" if prefix else str(name))
    return found


class Criterion:
    """The loss of a network's outputs, and the main one, whose classes are compared with the labels.

    Several outputs go to `loss` as they are where it takes them. Otherwise a training minimises the loss of the main output
    plus those of the others, with the weights that the network, or a part of it, declares by name in `aux_weights`; an
    evaluation looks at the main output alone. The main one is the only one, the only one without a weight, or is called
    "logits" or "out".
    """

    def __init__(self, loss: Loss, model: nn.Module) -> None:
        self.loss, self.kind, self.model = loss, kind_of(loss), model
        self._takes_all: bool | None = False if self.kind.from_torch else None  # None: not tried yet
        declared = (getattr(module, "aux_weights", None) for module in model.modules())
        self.weights = next((weights for weights in declared if isinstance(weights, Mapping)), {})

    def main(self, outputs: Any) -> Tensor | None:
        """Return the main output, None where that is not known."""
        if isinstance(outputs, Tensor):
            return outputs
        heads = named(outputs)
        name = self._main(heads)
        return None if name is None else heads[name]

    def __call__(self, outputs: Any, labels: Tensor) -> Tensor:
        """Return the loss.

        Raises:
            ValueError: several outputs, a loss that does not take them, and no weights for the auxiliary ones.
        """
        if isinstance(outputs, Tensor):
            return self.loss(outputs, labels)
        if self._takes_all is None:
            try:
                loss = self.loss(outputs, labels)
            except (TypeError, AttributeError, KeyError):
                self._takes_all = False
            else:
                self._takes_all = True
                return loss
        if self._takes_all:
            return self.loss(outputs, labels)
        heads = named(outputs)
        main = self._main(heads)
        others = [name for name in heads if name != main] if self.model.training else []
        if main is None or any(name not in self.weights for name in others):
            raise ValueError(self._refusal(outputs, heads, main))
        total = self.loss(heads[main], labels)
        for name in others:
            total = total + self.weights[name] * self.loss(heads[name], labels)
        return total

    def _main(self, heads: Mapping[str, Tensor]) -> str | None:
        unweighted = [name for name in heads if name not in self.weights] if self.weights else []
        for names in (list(heads), unweighted, [name for name in _MAIN if name in heads]):
            if len(names) == 1:
                return names[0]
        return None

    def _refusal(self, outputs: Any, heads: Mapping[str, Tensor], main: str | None) -> str:
        auxiliary = [name for name in heads if name != main] if main else list(heads)[1:]
        found = f"{len(heads)} tensors ({', '.join(heads)})" if heads else "no tensor"
        return (
            f"model: {type(self.model).__name__} returns {type(outputs).__name__} with {found}, and the loss "
            f"{self.kind.name} takes one tensor; expected one, or a `loss` that takes what the model returns, or weights "
            f"for the losses of auxiliary outputs, such as model.aux_weights = {dict.fromkeys(auxiliary, 0.3)}"
        )
