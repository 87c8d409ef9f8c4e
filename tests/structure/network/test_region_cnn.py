"""Faster R-CNN: equal to torchvision's with its weights, in evaluation and in training; its parts by identities."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from resnetbook.principle.block import BasicBlock
from resnetbook.structure.network.region_cnn import faster_rcnn
from resnetbook.structure.network.region_cnn.boxes import anchors_at, decode, draw, encode, match

X = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
TRUTH = [
    {"boxes": torch.tensor([[5.0, 6, 40, 50], [60, 20, 110, 90]]), "labels": torch.tensor([1, 3])},
    {"boxes": torch.tensor([[30.0, 10, 90, 40]]), "labels": torch.tensor([2])},
]


@pytest.fixture(scope="module")
def both():
    torch.manual_seed(0)
    theirs = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=4, min_size=96, max_size=128
    )
    with torch.no_grad():  # untrained scores all lie near one third; spread them, so that thresholds cut
        theirs.roi_heads.box_predictor.cls_score.weight.mul_(30)
        theirs.rpn.head.cls_logits.weight.mul_(30)
    ours = faster_rcnn(4)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def normalised(x):
    mean, spread = (torch.tensor(v).reshape(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (x - mean) / spread


def test_detections_equal_torchvisions(both):
    ours, theirs = (model.eval() for model in both)
    with torch.no_grad():
        found, wanted = ours(normalised(X)), theirs(list(X))
    assert sum(len(each.boxes) for each in found) > 20
    for got, goal in zip(found, wanted, strict=True):
        for name in ("boxes", "scores", "labels"):
            torch.testing.assert_close(getattr(got, name), goal[name], rtol=1e-4, atol=1e-3)


def test_losses_and_gradients_equal_torchvisions(both):
    ours, theirs = (model.train() for model in both)
    theirs.transform.torch_choice = lambda sizes: sizes[
        0
    ]  # else it draws a size, and all later draws are others
    losses = []
    for model in (ours, theirs):
        model.zero_grad()
        torch.manual_seed(7)  # the same draws of anchors and regions
        found = model(normalised(X), TRUTH) if model is ours else model(list(X), TRUTH)
        sum(found.values()).backward()
        losses.append(found)
    assert losses[0].keys() == losses[1].keys()
    for name in losses[0]:
        torch.testing.assert_close(losses[0][name], losses[1][name], rtol=1e-4, atol=1e-5)
    for name in (
        "backbone.fpn.inner_blocks.0.0.weight",
        "rpn.head.conv.0.0.weight",
        "roi_heads.box_head.fc6.weight",
    ):
        torch.testing.assert_close(
            ours.get_parameter(name).grad, theirs.get_parameter(name).grad, rtol=1e-3, atol=1e-5
        )


def test_an_image_without_boxes_teaches_nothing_but_background(both):
    ours = both[0].train()
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    found = ours(normalised(X), [TRUTH[0], empty])
    assert all(torch.isfinite(value) for value in found.values())
    alone = ours(normalised(X[:1]), [empty])
    assert alone["loss_box_reg"] == alone["loss_rpn_box_reg"] == 0


def test_anchors_equal_torchvisions():
    sizes, ratios = ((32,), (64,)), ((0.5, 1.0, 2.0),) * 2
    maps = [torch.zeros(1, 1, 6, 8), torch.zeros(1, 1, 3, 4)]
    wanted = AnchorGenerator(sizes, ratios)(ImageList(torch.zeros(1, 3, 96, 128), [(96, 128)]), maps)[0]
    ours = [
        anchors_at(size, ratios[0], grid, stride)
        for size, grid, stride in ((32, (6, 8), (16, 16)), (64, (3, 4), (32, 32)))
    ]
    assert torch.equal(torch.cat(ours), wanted)


BOX = st.tuples(st.floats(0, 80), st.floats(0, 80), st.floats(1, 60), st.floats(1, 60)).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)


@settings(max_examples=60, deadline=None)
@given(BOX, BOX, st.sampled_from([(1.0, 1.0), (10.0, 5.0)]))
def test_a_code_is_read_back(box, anchor, weights):
    box, anchor = (torch.tensor([each], dtype=torch.float64) for each in (box, anchor))
    torch.testing.assert_close(decode(encode(box, anchor, weights), anchor, weights), box)


def test_wild_sizes_are_held():
    anchor = torch.tensor([[0.0, 0, 16, 16]])
    huge = decode(torch.tensor([[0.0, 0, 100, 100]]), anchor)
    torch.testing.assert_close(huge[0, 2:] - huge[0, :2], torch.tensor([1000.0, 1000.0]))


@settings(max_examples=60, deadline=None)
@given(st.lists(BOX, min_size=1, max_size=4), st.lists(BOX, min_size=1, max_size=10), st.booleans())
def test_matches_equal_torchvisions(truth, boxes, anyway):
    truth, boxes = torch.tensor(truth), torch.tensor(boxes)
    wanted = Matcher(0.7, 0.3, allow_low_quality_matches=anyway)(box_iou(truth, boxes))
    assert torch.equal(match(truth, boxes, low=0.3, high=0.7, best_anyway=anyway), wanted)


@pytest.mark.parametrize(
    ("positive", "negative", "wanted"), [(10, 100, (5, 15)), (2, 100, (2, 18)), (10, 4, (5, 4))]
)
def test_draws_keep_their_shares(positive, negative, wanted):
    labels = torch.cat([torch.ones(positive), torch.zeros(negative), -torch.ones(7)])
    chosen, others = draw(labels, 20, 0.25)
    assert (len(chosen), len(others)) == wanted
    assert (labels[chosen] == 1).all()
    assert (labels[others] == 0).all()
    assert len(set(chosen.tolist() + others.tolist())) == sum(wanted)


def test_a_small_one_learns_a_square():
    torch.manual_seed(0)
    net = faster_rcnn(
        2, block=BasicBlock, layers=(1, 1, 1, 1), width=16, in_channels=1,
        proposals={"sizes": (16, 24, 32, 48, 64), "keep": (50, 20), "batch": 32}, head={"hidden": 32, "batch": 32},
    )  # fmt: skip
    x = torch.zeros(4, 1, 64, 64)
    boxes = [torch.tensor([[8.0 + 8 * i, 12, 28 + 8 * i, 32]]) for i in range(4)]
    for image, ((x1, y1, x2, y2),) in zip(x, (b.long().tolist() for b in boxes), strict=True):
        image[:, y1:y2, x1:x2] = 1
    targets = [{"boxes": b, "labels": torch.ones(1, dtype=torch.long)} for b in boxes]
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(60):
        optimiser.zero_grad()
        sum(net(x, targets).values()).backward()
        optimiser.step()
    for module in net.modules():  # few steps: the batch's own statistics, as in training
        if isinstance(module, torch.nn.BatchNorm2d):
            module.track_running_stats, module.running_mean, module.running_var = False, None, None
    with torch.no_grad():
        found = net.eval()(x)
    overlap = [
        box_iou(f.boxes[:1], b).max().item() if len(f.boxes) else 0 for f, b in zip(found, boxes, strict=True)
    ]
    assert min(overlap) > 0.5, overlap


@pytest.mark.parametrize(
    ("x", "targets", "message"),
    [
        (torch.zeros(1, 3, 60, 64), TRUTH[:1], "expected sides that 32 divides"),
        (X, None, "targets: None given, expected one for each image"),
        (X, TRUTH[:1], "targets: 1 given"),
        (X[:1], [{"boxes": torch.tensor([[5.0, 5, 5, 9]]), "labels": torch.tensor([1])}], "with an area"),
        (
            X[:1],
            [{"boxes": torch.tensor([[5.0, 5, 9, 9]]), "labels": torch.tensor([4])}],
            r"labels \[4\], expected 1 to 3",
        ),
    ],
)
def test_bad_input_is_refused(both, x, targets, message):
    with pytest.raises(ValueError, match=message):
        both[0].train()(x, targets)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="num_classes=0"):
        faster_rcnn(0, layers=(1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"low=0\.8: expected at most high=0\.7"):
        match(torch.zeros(1, 4), torch.zeros(1, 4), low=0.8, high=0.7, best_anyway=True)
