"""The smallest variant of each file under everything that a network meets: compilers, layouts, precision, several processes."""

import copy
import importlib
import os
import tempfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from resnetbook import timeline
from resnetbook.timeline import create_model

# The smallest variant of each file, the side of its images in pixels, and changes that make it smaller still.
SMALLEST: dict[str, tuple[int, dict[str, object]]] = {
    "lenet5": (32, {}),
    "alexnet": (64, {}),
    "googlenet": (64, {"aux_logits": False}),
    "resnet20": (8, {}),
    "preact_resnet110": (8, {"depth": 20}),
    "ror3_110": (8, {"depth": 20}),
    "wrn16_4": (8, {"widen_factor": 2}),
    "resnet_init18": (8, {"widths": (8, 16, 16)}),
    "stochastic110": (8, {"depth": 20}),
    "densenet_bc100_12": (8, {"depth": 22}),
    "dpn68": (32, {}),
    "inception_v3": (75, {"aux_logits": False}),
    "inception_resnet_v1": (75, {}),
    "nasnet_a_cifar": (16, {}),
    "resnext29_8x64d": (8, {"cardinality": 4, "base_width": 8}),
}
NAMES = list(SMALLEST)


def build(name: str) -> tuple[nn.Module, Tensor]:
    """The network in evaluation mode, with running statistics of its own, and two images."""
    size, changes = SMALLEST[name]
    torch.manual_seed(0)
    network = create_model(name, num_classes=10, **changes)
    x = torch.randn(2, 3 if name != "lenet5" else 1, size, size)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(x)
    return network.eval(), x


def test_there_is_one_of_each_file():
    modules = [timeline.module_of(name) for name in NAMES]
    assert sorted(modules) == sorted({timeline.module_of(name) for name in timeline.list_models()})


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_compiled_ahead_of_time_it_computes_the_same(name, assert_equal):
    network, x = build(name)
    with torch.no_grad():
        expected = network(x)
        assert_equal(torch.compile(network, backend="aot_eager", fullgraph=True)(x), expected)
    torch.compiler.reset()


@pytest.mark.slow
def test_inductor_computes_the_same(assert_equal):
    network, x = build("resnet20")
    with torch.no_grad():
        assert_equal(torch.compile(network, fullgraph=True)(x), network(x))
    torch.compiler.reset()


@pytest.mark.long
@pytest.mark.parametrize("name", timeline.list_models())
def test_inductor_computes_the_same_for_every_variant(name, assert_equal):
    size = max(SMALLEST.get(name, (96, {}))[0], 32)
    torch.manual_seed(0)
    network = create_model(name).eval()
    x = torch.randn(1, network.in_channels, size, size)
    if name in ("preact_resnet1001", "resnet1202", "stochastic1202"):
        # Untrained, a thousand layers leave the range of single precision, and they make its rounding visible.
        network, x = network.double(), x.double()
    with torch.no_grad():
        assert_equal(torch.compile(network)(x), network(x), 1e-4)
    torch.compiler.reset()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_exported_it_computes_the_same(name, assert_equal):
    network, x = build(name)
    exported = torch.export.export(network, (x,)).module()
    with torch.no_grad():
        assert_equal(exported(x), network(x))


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_computes_the_same(name, assert_equal):
    network, x = build(name)
    with torch.no_grad():
        expected = network(x)
        found = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert_equal(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_in_bfloat16_has_finite_gradients(name):
    network, x = build(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = cross_entropy(network.train()(x), torch.tensor([1, 3]))
    loss.backward()
    weights = [p for p in network.parameters() if p.grad is not None]
    assert all(p.grad.dtype == torch.float32 and torch.isfinite(p.grad).all() for p in weights)
    assert sum(float(p.grad.abs().sum()) > 0 for p in weights) > len(weights) // 2


@pytest.mark.parametrize("name", NAMES)
def test_one_image_does_not_see_the_others(name, assert_equal):
    network, x = build(name)
    with torch.no_grad():
        assert_equal(network(x)[:1], network(x[:1]))


@pytest.mark.parametrize("name", NAMES)
def test_other_channels_and_classes(name):
    size, changes = SMALLEST[name]
    network = create_model(name, num_classes=3, in_channels=2, **changes).eval()
    with torch.no_grad():
        out = network(torch.randn(1, 2, size, size))
    assert out.shape == (1, 3)
    with pytest.raises(ValueError, match=r"expected \(N, 2, H, W\)"):
        network(torch.randn(1, 3, size, size))
    with pytest.raises(ValueError, match="x of shape"):
        network(torch.randn(1, 2, 1, 1))


def _rank(rank: int, store: str, folder: str) -> None:
    """One of two processes: each network, its own half of the batch, averaged gradients to a file."""
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    found = {}
    for name in NAMES:
        network, x = build(name)  # in evaluation mode: each image stands alone, so that halves add up
        parallel = DistributedDataParallel(network)
        cross_entropy(parallel(x[rank : rank + 1]), torch.tensor([[1, 3][rank]])).backward()
        weights = [p for p in network.parameters() if p.requires_grad]
        found[name] = [weights[0].grad.clone(), weights[-1].grad.clone()]
        # And a training step, in which a network may leave blocks out; every process must leave out the same.
        torch.manual_seed(5 + rank)
        for _ in range(2):
            parallel.train()
            cross_entropy(parallel(torch.cat([x, x + 1])), torch.tensor([1, 3, 1, 3])).backward()
    torch.save(found, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_average_the_gradients_of_their_halves(assert_equal, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))  # where the other processes find this module
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_rank, args=(f"{folder}/store", folder), nprocs=2)
        both = [torch.load(Path(folder) / f"{rank}.pt") for rank in (0, 1)]
    for name in NAMES:
        network, x = build(name)
        for half, label in enumerate((1, 3)):  # gradients of the halves add up in .grad
            cross_entropy(network(x[half : half + 1]), torch.tensor([label])).backward()
        weights = [p for p in network.parameters() if p.requires_grad]
        for rank in (0, 1):
            assert_equal(2 * both[rank][name][0], weights[0].grad)
            assert_equal(2 * both[rank][name][1], weights[-1].grad)


def test_a_copy_and_a_state_dict_come_back(assert_equal):
    for name in NAMES[:4]:
        network, x = build(name)
        with torch.no_grad():
            assert_equal(copy.deepcopy(network)(x), network(x), 0.0)


def test_every_module_says_what_its_variants_are():
    for name in {timeline.module_of(name) for name in NAMES}:
        module = importlib.import_module(f"resnetbook.timeline.{name}")
        assert "Survey" in (module.__doc__ or ""), name
        assert "arXiv" in module.__doc__ or "19" in module.__doc__ or "20" in module.__doc__, name
