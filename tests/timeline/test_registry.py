"""Every network is found by its name, is built as its module says, and names what it refuses."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from resnetbook import timeline
from resnetbook.timeline._checks import check_depth, check_positive

MODULES = [
    "lenet", "alexnet", "googlenet", "resnet", "resnet_v2", "ror", "wide_resnet", "resnet_in_resnet",
    "stochastic_depth", "densenet", "dual_path", "inception", "inception_resnet", "nasnet", "resnext",
]  # fmt: skip
ROOT = Path(timeline.__file__).parent
CLASSES = sorted(
    {
        f"{name}.{network.__name__}"
        for name in MODULES
        for network, _ in importlib.import_module(f"resnetbook.timeline.{name}").VARIANTS.values()
    }
)


@pytest.mark.parametrize("name", MODULES)
def test_the_list_is_the_modules_own(name):
    module = importlib.import_module(f"resnetbook.timeline.{name}")
    assert timeline.list_models(name) == list(module.VARIANTS)
    assert {timeline.module_of(variant) for variant in module.VARIANTS} == {name}


def test_each_file_of_the_package_is_listed():
    files = {path.stem for path in ROOT.glob("*.py") if not path.stem.startswith("_")}
    assert files == {*MODULES, "pretrained"}
    assert len(timeline.list_models()) == len(set(timeline.list_models())) == 53


def test_a_list_imports_no_torch_and_a_network_only_what_it_needs():
    code = (
        "import sys; from resnetbook import timeline; timeline.list_models(); assert 'torch' not in sys.modules;"
        "timeline.create_model('resnet20');"
        "print(sorted(m.split('.')[-1] for m in sys.modules if m.startswith('resnetbook.timeline.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == ["_checks", "resnet"]


@pytest.mark.parametrize("name", timeline.list_models())
def test_every_variant_is_built_on_the_meta_device(name, on_meta, parameters):
    network = on_meta(name)
    assert all(p.is_meta for p in network.parameters())
    assert parameters(network) > 10_000


@pytest.mark.parametrize("name", [timeline.list_models(module)[0] for module in MODULES])
def test_classes_and_channels_change_first_and_last_layer_alone(name, on_meta):
    before = {key: tuple(p.shape) for key, p in on_meta(name).named_parameters()}
    after = {key: tuple(p.shape) for key, p in on_meta(name, num_classes=7, in_channels=5).named_parameters()}
    assert before.keys() == after.keys()
    changed = {key for key in before if before[key] != after[key]}
    assert changed
    assert len({key.rpartition(".")[0] for key in changed}) <= 5  # auxiliary heads have a last layer too
    assert any(after[key][0] == 7 for key in changed)
    assert any(len(after[key]) > 1 and after[key][1] == 5 for key in changed)


@pytest.mark.parametrize("path", CLASSES)
def test_every_class_takes_classes_and_channels(path):
    module, _, name = path.partition(".")
    network = getattr(importlib.import_module(f"resnetbook.timeline.{module}"), name)
    arguments = network.__init__.__annotations__
    assert {"num_classes", "in_channels"} <= set(arguments)
    assert network.__doc__


# The first variant of each class, the side of the smallest images that it takes, and classes and channels of its class when
# nothing is said: those of the data sets that the papers use.
FIRST = {
    "lenet.LeNet5": ("lenet5", 28, 10, 1),
    "alexnet.AlexNet": ("alexnet", 63, 1000, 3),
    "googlenet.GoogLeNet": ("googlenet", 15, 1000, 3),
    "resnet.ResNet": ("resnet18", 32, 1000, 3),
    "resnet.CifarResNet": ("resnet20", 4, 10, 3),
    "resnet_v2.PreActResNet": ("preact_resnet110", 4, 10, 3),
    "resnet_v2.ResNetV2": ("resnet50_v2", 32, 1000, 3),
    "ror.RoR": ("ror3_110", 4, 10, 3),
    "wide_resnet.WideResNet": ("wrn16_4", 4, 10, 3),
    "resnet_in_resnet.RiR": ("rir18_wide", 4, 10, 3),
    "resnet_in_resnet.ResNetInit": ("resnet_init18", 4, 10, 3),
    "stochastic_depth.StochasticDepthResNet": ("stochastic110", 4, 10, 3),
    "densenet.DenseNet": ("densenet121", 32, 1000, 3),
    "densenet.CifarDenseNet": ("densenet_bc100_12", 4, 10, 3),
    "dual_path.DPN": ("dpn68", 32, 1000, 3),
    "inception.InceptionV3": ("inception_v3", 75, 1000, 3),
    "inception.InceptionV4": ("inception_v4", 75, 1000, 3),
    "inception_resnet.InceptionResNetV1": ("inception_resnet_v1", 75, 1000, 3),
    "inception_resnet.InceptionResNetV2": ("inception_resnet_v2", 75, 1000, 3),
    "nasnet.NASNetA": ("nasnet_a_cifar", 4, 10, 3),
    "resnext.ResNeXt": ("resnext50_32x4d", 32, 1000, 3),
    "resnext.CifarResNeXt": ("resnext29_8x64d", 4, 10, 3),
}


def test_the_table_has_every_class():
    assert {path.partition(".")[2] for path in FIRST} == {path.partition(".")[2] for path in CLASSES}


@pytest.mark.parametrize("path", FIRST)
def test_a_class_takes_images_from_its_smallest_on_and_has_the_classes_of_its_data_set(path, on_meta):
    name, smallest, classes, channels = FIRST[path]
    network = on_meta(name).eval()
    assert path.endswith(f".{type(network).__name__}")
    own = inspect.signature(type(network)).parameters
    assert (own["num_classes"].default, own["in_channels"].default) == (classes, channels)
    with torch.device("meta"):
        for height, width in ((smallest, smallest), (smallest, smallest + 3), (smallest + 1, smallest)):
            assert network(torch.empty(2, channels, height, width)).shape[0] == 2
        for height, width in ((smallest - 1, smallest), (smallest, smallest - 1)):
            with pytest.raises(ValueError, match=rf"H and W of {smallest} or more"):
                network(torch.empty(2, channels, height, width))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: timeline.create_model("resnet19"), "name='resnet19': expected one of lenet5"),
        (lambda: timeline.create_model("resnet20", width=3), "width=3: resnet20 takes depth, num_classes"),
        (lambda: timeline.create_model("resnet20", depth=21), "the nearest are 20 and 26"),
        (lambda: timeline.list_models("vgg"), "module='vgg': expected one of lenet"),
        (lambda: check_depth(12, step=9, offset=2), "depth=12: expected 9n \\+ 2; the nearest are 11 and 20"),
        (lambda: check_depth(True, step=6, offset=2), "depth=True: expected 6n \\+ 2 with n of 1 or more"),
        (lambda: check_positive(num_classes=0), "num_classes=0: expected an integer of 1 or more"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("depth", range(1, 40))
def test_a_depth_is_allowed_exactly_where_its_formula_says(depth):
    allowed = depth >= 8 and (depth - 2) % 6 == 0
    try:
        assert check_depth(depth, step=6, offset=2) * 6 + 2 == depth
        assert allowed
    except ValueError:
        assert not allowed


def test_weights_from_a_file_come_back_and_others_are_refused(tmp_path):
    torch.manual_seed(0)
    source = timeline.create_model("resnet20", num_classes=3)
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    loaded = timeline.create_model("resnet20", weights=tmp_path / "weights.pt", num_classes=3)
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), loaded.parameters(), strict=True))
    with pytest.raises(
        ValueError, match=r"weights for resnet20: fc.weight has shape \(3, 64\), expected \(10, 64\)"
    ):
        timeline.create_model("resnet20", weights=tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"weights for resnet32: 60 keys differ, first layer1\.3\.bn1\.bias"):
        timeline.create_model("resnet32", weights=tmp_path / "weights.pt", num_classes=3)
    with pytest.raises(FileNotFoundError, match="no such file; expected a path, 'torchvision' or 'timm'"):
        timeline.create_model("resnet20", weights=tmp_path / "none.pt")


def test_offline_the_message_says_what_to_do(monkeypatch, tmp_path):
    def refused(*args, **named):
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refused)
    with pytest.raises(
        ConnectionError, match=r"resnet18 is not in torchvision's cache .* pass its path as `weights`"
    ):
        timeline.create_model("resnet18", weights="torchvision")


def test_torchvisions_cache_is_used(monkeypatch, tmp_path):
    import torchvision

    torch.manual_seed(1)
    theirs = torchvision.models.resnet18()
    weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(theirs.state_dict(), folder / weights.url.rpartition("/")[2])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    ours = timeline.create_model("resnet18", weights="torchvision")
    assert torch.equal(ours.fc.weight, theirs.fc.weight)
    with pytest.raises(ValueError, match="torchvision has no resnet20"):
        timeline.create_model("resnet20", weights="torchvision")


def test_timms_weights_need_a_known_renaming():
    from resnetbook.timeline.pretrained import convert

    with pytest.raises(ValueError, match="timm's weights are not known"):
        convert("lenet5", {})
    with pytest.raises(ValueError, match=r"weights for dpn68: .* keys differ"):
        convert("dpn68", {"nothing": torch.zeros(1)})
    assert isinstance(timeline.create_model("lenet5"), nn.Module)
