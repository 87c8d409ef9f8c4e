"""RiR's forms start alike and differ; what is left of the irrelevant and what is redundant, on cases that are known."""

import pytest
import torch
from torch import nn

from resnetbook.experiments.timeline import two_streams
from resnetbook.lab import fitting, training
from resnetbook.lab.data import Part

SETTINGS = two_streams.Settings(depth=8, train_size=100)


@pytest.fixture(scope="module")
def data():
    return fitting.images_of(SETTINGS, 0)


@pytest.fixture(scope="module")
def built(data):
    nets = {}
    for arm in two_streams.arms(SETTINGS):
        training.seed_everything(3)
        nets[arm] = two_streams.network(SETTINGS, arm, data)
    return nets


def test_arms_have_equal_parameters_and_the_forms_of_rir_the_same_weights(built, data):
    counts = {arm: sum(p.numel() for p in net.parameters()) for arm, net in built.items()}
    assert len(counts) == 6
    assert len(set(counts.values())) == 1, counts
    first = built["rir"].state_dict()
    for arm in two_streams.FORMS:
        assert all(torch.equal(first[k], v) for k, v in built[arm].state_dict().items())
    outputs = [net.eval()(data.test.images[:8]) for net in built.values()]
    assert all(not torch.equal(a, b) for i, a in enumerate(outputs) for b in outputs[:i])
    assert two_streams.group_sizes(built["resnet"]) == {}
    assert two_streams.group_sizes(built["rir"])["rr"] > 0


def test_features_are_what_the_head_takes_the_mean_of(built, data):
    """The head is linear, so its logits follow from the means alone; as many channels in each arm."""
    x = data.test.images[:8]
    for arm, net in built.items():
        net.eval()
        found = two_streams.features(net, x)
        assert found.shape == (8, 2 * SETTINGS.widths[-1])
        head, norm = (net.avgpool[0], net.avgpool[1]) if arm == "resnet" else (net.classes, net.bn)
        logits = norm(head(found.float()[:, :, None, None])).flatten(1)
        assert torch.allclose(logits, net(x), atol=1e-4)


def test_cut_streams_leave_the_network_alone(built, data):
    before = {name: value.clone() for name, value in built["rir"].state_dict().items()}
    found = two_streams.cut_streams(built["rir"], data, 50)
    assert sorted(found) == ["without_r", "without_r_again", "without_t", "without_t_again"]
    assert all(torch.equal(before[name], value) for name, value in built["rir"].state_dict().items())
    assert set(two_streams.cut_streams(built["resnet"], data, 50).values()) == {0.0}


class Reads(nn.Module):
    """Features that are given pixels of the image, as the head of an arm that is no RiR would read them."""

    def __init__(self, pixels: list[int]):
        super().__init__()
        self.pixels, self.unused = pixels, nn.Parameter(torch.zeros(1))
        self.avgpool = nn.Sequential(nn.Identity())

    def forward(self, x):
        return self.avgpool(x.flatten(1)[:, self.pixels][:, :, None, None]).flatten(1)


def parts(noise: float) -> list[Part]:
    """Images of four pixels: two that are noise, and two that the label sets (with a little noise of their own)."""
    torch.manual_seed(0)
    made = []
    for count in (2000, 1500):
        labels = torch.arange(count) % 3
        shown = labels[:, None].float() * 10
        images = torch.cat([torch.randn(count, 2), shown + noise * torch.randn(count, 2)], 1)
        made.append(Part(images.view(count, 1, 2, 2), labels))
    return made


@pytest.mark.parametrize(
    ("pixels", "noise", "share"),
    [([0, 1, 2, 3], 1.0, 1.0), ([0], 1.0, 0.25), ([2], 1e-3, 0.0), ([0], 1e-3, 0.5), ([0, 0], 1.0, 0.25)],
)
def test_the_irrelevant_is_what_the_label_does_not_tell(pixels, noise, share):
    train, test = parts(noise)
    found = two_streams.irrelevant(Reads(pixels), train, test, 1e-3)
    assert found.shape == (1500,)
    assert float(found.mean()) == pytest.approx(share, abs=0.04)


def test_within_classes_takes_the_means_of_the_other_part():
    rows, of = torch.tensor([[1.0], [2.0]]), torch.tensor([[10.0], [20.0], [5.0]])
    found = two_streams.within_classes(rows, torch.tensor([1, 0]), of, torch.tensor([0, 0, 1]))
    assert found.tolist() == [[-4.0], [-13.0]]


def test_redundancy_of_known_columns():
    torch.manual_seed(0)
    a, b = torch.randn(2, 20_000, dtype=torch.float64)
    still = torch.ones_like(a)
    of = lambda *columns: two_streams.redundancy(torch.stack(columns, 1))  # noqa: E731
    assert of(a, -2 * a) == pytest.approx(1)
    assert of(a, b) == pytest.approx(0, abs=1e-3)
    assert of(a, a + b) == pytest.approx(0.5, abs=0.02)
    assert of(a, still, b, still) == pytest.approx(of(a, b))
    assert of(a, a, b) == pytest.approx(1 / 3, abs=1e-3)  # one pair of three
    assert torch.isnan(torch.tensor(of(a, still)))
