"""Section 3 of the survey: the networks in the order of time, one file each.

    net = timeline.create_model("resnet18", num_classes=4, in_channels=1)
    timeline.list_models()

Each module can be read beside its paper, from top to bottom; at its end `VARIANTS` lists the paper's named networks as
plain values. Asking for one network imports its module alone.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

__all__ = ["create_model", "list_models", "module_of"]

# Names by module, so that a list needs no import; a test holds them equal to each module's VARIANTS.
_NAMES: dict[str, tuple[str, ...]] = {
    "lenet": ("lenet5",),
    "alexnet": ("alexnet", "alexnet_2012"),
    "googlenet": ("googlenet", "googlenet_2014"),
    "resnet": (
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
        "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202",
    ),
    "resnet_v2": ("preact_resnet110", "preact_resnet164", "preact_resnet1001", "resnet50_v2"),
    "ror": ("ror3_110", "pre_ror3_164", "ror3_wrn58_4"),
    "wide_resnet": ("wrn16_4", "wrn28_10", "wrn40_4", "wide_resnet50_2"),
    "resnet_in_resnet": ("resnet_init18", "rir18_wide"),
    "stochastic_depth": ("stochastic110", "stochastic1202"),
    "densenet": (
        "densenet121", "densenet161", "densenet169", "densenet201",
        "densenet40_12", "densenet_bc100_12", "densenet_bc190_40",
    ),
    "dual_path": ("dpn68", "dpn92", "dpn98", "dpn131"),
    "inception": ("inception_v3", "inception_v4"),
    "inception_resnet": ("inception_resnet_v1", "inception_resnet_v2"),
    "nasnet": ("nasnet_a_large", "nasnet_a_mobile", "nasnet_a_cifar"),
    "resnext": ("resnext50_32x4d", "resnext101_32x8d", "resnext29_8x64d", "resnext29_16x64d"),
}  # fmt: skip


def list_models(module: str | None = None) -> list[str]:
    """Return the names of the networks in the order of the survey, of one module ("densenet") or of all.

    Raises:
        ValueError: there is no such module.
    """
    if module is not None and module not in _NAMES:
        raise ValueError(f"module={module!r}: expected one of {', '.join(_NAMES)}")
    return [name for key, names in _NAMES.items() for name in names if module in (None, key)]


def module_of(name: str) -> str:
    """Return the module in which the network `name` stands: "resnet" for "resnet50".

    Raises:
        ValueError: there is no such network.
    """
    for module, names in _NAMES.items():
        if name in names:
            return module
    raise ValueError(f"name={name!r}: expected one of {', '.join(list_models())}")


def create_model(name: str, weights: str | Path | None = None, **changes: Any) -> "nn.Module":
    """Build the network `name`, with its own settings but for `changes`.

    Args:
        name: one of `list_models()`.
        weights: None keeps the random initial weights; "torchvision" or "timm" asks that library for its published
            weights (from its cache, else over the network); anything else is the path of a file with a state_dict, of
            torch.save, safetensors or numpy, or of a checkpoint that holds one.
        **changes: keyword arguments of the network's class, such as `num_classes` and `in_channels`.

    Raises:
        ValueError: an unknown name, a change that the class does not take or refuses, weights that do not fit, or a file
            that holds something else; the message says what.
        FileNotFoundError: no such file.
        ConnectionError: the weights are not in the library's cache and could not be fetched; the message says what to do.
    """
    module = importlib.import_module(f"resnetbook.timeline.{module_of(name)}")
    network, settings = module.VARIANTS[name]
    allowed = [argument for argument in network.__init__.__annotations__ if argument != "return"]
    for argument in changes:
        if argument not in allowed:
            raise ValueError(f"{argument}={changes[argument]!r}: {name} takes {', '.join(allowed)}")
    model: nn.Module = network(**{**settings, **changes})
    if weights is not None:
        from resnetbook.timeline import pretrained

        pretrained.load(model, name, weights)
    return model
