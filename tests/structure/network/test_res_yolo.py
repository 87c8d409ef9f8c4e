"""One-stage detector: what it is taught is read back, a perfect answer costs nothing, and it learns squares."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from resnetbook.structure.network import ResYolo
from resnetbook.structure.network.res_yolo import assign, decode, yolo_loss

ANCHORS = torch.tensor([[16.0, 16], [32, 16], [16, 32]])
STRIDE, GRID = 16, (4, 5)

BOX = st.tuples(st.floats(4, 76), st.floats(4, 60), st.floats(2, 60), st.floats(2, 60)).map(
    lambda b: [b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2]
)


def perfect(targets, classes=3, sure=30.0):
    """Answer as taught: logits whose sigmoid is the offset, and near certainty."""
    out = torch.zeros(1, 3, *GRID, 5 + classes, dtype=torch.float64)
    out[..., 4] = -sure
    place = targets.offsets[:, :2].double().clamp(1e-9, 1 - 1e-9)
    row = torch.cat(
        [torch.logit(place), targets.offsets[:, 2:].double(), torch.full((len(place), 1), sure)], 1
    )
    kinds = sure * torch.nn.functional.one_hot(targets.labels, classes)
    out[targets.places] = torch.cat([row, kinds.double()], 1)
    return out


@settings(max_examples=60, deadline=None)
@given(BOX, st.integers(0, 2))
def test_what_is_taught_is_read_back(box, label):
    targets = assign([torch.tensor([box])], [torch.tensor([label])], ANCHORS, STRIDE, GRID)
    answer = perfect(targets)
    (found,) = decode(answer, ANCHORS.double(), STRIDE)
    assert found.labels.tolist() == [label]
    torch.testing.assert_close(found.boxes, torch.tensor([box], dtype=torch.float64), rtol=1e-4, atol=1e-3)
    assert yolo_loss(answer, targets) < 1e-6


def test_the_anchor_of_the_most_similar_shape_is_taught():
    boxes = torch.tensor([[0.0, 0, 30, 14], [40, 0, 54, 34], [20, 40, 37, 56]])
    targets = assign([boxes], [torch.zeros(3, dtype=torch.long)], ANCHORS, STRIDE, GRID)
    places = {tuple(int(p[i]) for p in targets.places) for i in range(3)}
    assert places == {(0, 1, 0, 0), (0, 2, 1, 2), (0, 0, 3, 1)}


def test_of_two_boxes_in_one_place_the_larger_stays():
    boxes = torch.tensor([[10.0, 10, 26, 26], [9, 9, 27, 27]])
    for order in ([0, 1], [1, 0]):
        targets = assign([boxes[order]], [torch.tensor([0, 1])[order]], ANCHORS, STRIDE, GRID)
        assert targets.labels.tolist() == [1]


def test_the_loss_written_out():
    torch.manual_seed(0)
    boxes, labels = (
        [torch.tensor([[5.0, 5, 20, 25]]), torch.zeros(0, 4)],
        [torch.tensor([2]), torch.zeros(0, dtype=torch.long)],
    )
    targets = assign(boxes, labels, ANCHORS, STRIDE, GRID)
    out = torch.randn(2, 3, *GRID, 8, dtype=torch.float64)
    place = tuple(int(p[0]) for p in targets.places)
    here = out[place]
    found = torch.cat([here[:2].sigmoid(), here[2:4]])
    total = 5 * (found - targets.offsets[0]).square().sum() - here[5:].log_softmax(0)[2]
    p = out[..., 4].sigmoid()
    total = total - p[place[:4]].log() - 0.5 * ((1 - p).log().sum() - (1 - p[place[:4]]).log())
    torch.testing.assert_close(yolo_loss(out, targets), total / 2)


def test_overlapping_answers_of_one_class_are_thinned():
    targets = assign([torch.tensor([[10.0, 10, 26, 26]])], [torch.tensor([0])], ANCHORS, STRIDE, GRID)
    answer = perfect(targets)
    place = tuple(int(p[0]) for p in targets.places)
    copy = (place[0], 1, *place[2:])
    answer[copy] = answer[place]
    answer[copy][2] += torch.log(torch.tensor(0.5))  # the wider anchor, told to be as narrow
    answer[copy][4] = 1.0
    assert len(decode(answer, ANCHORS.double(), STRIDE)[0].boxes) == 1
    assert len(decode(answer, ANCHORS.double(), STRIDE, overlap=1.0)[0].boxes) == 2
    answer[copy][5:] = answer[copy][5:].roll(1)
    assert len(decode(answer, ANCHORS.double(), STRIDE)[0].boxes) == 2, "another class stays"


def test_plain_and_residual_trunks_have_the_same_parameters_and_map():
    plain, residual = (ResYolo(3, ANCHORS.tolist(), residual=r) for r in (False, True))
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in residual.parameters())
    assert residual(torch.zeros(1, 3, 64, 80)).shape == (1, 3, 4, 5, 8)
    assert residual.stride == STRIDE


def test_it_learns_to_find_squares():
    torch.manual_seed(0)
    net = ResYolo(2, [(16.0, 16.0), (24.0, 12.0)], in_channels=1, widths=(8, 16, 32))
    x, boxes, labels = torch.zeros(8, 1, 64, 64), [], []
    for index, image in enumerate(x):
        left, top = 4 + 5 * index, 40 - 4 * index
        wide, high = (16, 16) if index % 2 else (24, 12)
        image[:, top : top + high, left : left + wide] = 1
        boxes.append(torch.tensor([[left, top, left + wide, top + high]], dtype=torch.float32))
        labels.append(torch.tensor([index % 2]))
    targets = assign(boxes, labels, net.anchors, net.stride, (8, 8))
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        yolo_loss(net(x), targets).backward()
        optimiser.step()
    found = decode(net(x).detach(), net.anchors, net.stride)
    for each, box, label in zip(found, boxes, labels, strict=True):
        assert each.labels.tolist() == label.tolist()
        assert box_iou(each.boxes, box).item() > 0.7


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ResYolo(0, [(1, 1)]), "num_classes=0"),
        (lambda: ResYolo(2, []), r"anchors=\[\]"),
        (lambda: ResYolo(2, [(1, 1)])(torch.zeros(1, 3, 60, 64)), "expected sides that 16 divides"),
        (
            lambda: assign([torch.tensor([[5.0, 5, 5, 9]])], [torch.tensor([0])], ANCHORS, 16, GRID),
            "has no area",
        ),
        (
            lambda: assign([torch.tensor([[90.0, 5, 99, 9]])], [torch.tensor([0])], ANCHORS, 16, GRID),
            "outside the image",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
