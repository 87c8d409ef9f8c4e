"""What counts as a hit, by loss, outputs and labels (`lab._accuracy`); where accuracy has no meaning there is none."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from resnetbook.lab._accuracy import judge_of, scores, sums, sums_of_nothing
from resnetbook.lab._criterion import kind_of


def own(outputs, labels):
    """A loss of which nothing is known."""
    return (outputs.sum() - labels.sum()).abs()


T = torch.tensor
LOGITS = T([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [0.1, 0.2, 0.3], [5.0, 0.0, 0.0]])
CLASSES = T([0, 1, 0, 2])  # two of four are right
SOFT = T([[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.0, 0.0, 1.0]])
ONE_HOT = functional.one_hot(CLASSES, 3)
YES_NO = T([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
CROSS, BINARY, SHARES = (
    functional.cross_entropy,
    functional.binary_cross_entropy_with_logits,
    functional.binary_cross_entropy,
)
PIXELS = LOGITS.T.reshape(1, 3, 2, 2)


@pytest.mark.parametrize(
    ("loss", "outputs", "labels", "found"),
    [
        (CROSS, LOGITS, CLASSES, (2, 4)),
        (nn.CrossEntropyLoss(), LOGITS, CLASSES, (2, 4)),
        (own, LOGITS, CLASSES, (2, 4)),
        (CROSS, LOGITS, T([0, 1, -100, 2]), (2, 3)),  # a label that does not count
        (partial(CROSS, ignore_index=1), LOGITS, CLASSES, (1, 3)),
        (own, LOGITS, T([0, 1, -100, 2]), (2, 4)),
        (CROSS, PIXELS, CLASSES.reshape(1, 2, 2), (2, 4)),
        (CROSS, LOGITS[:, :1], T([0, 0, 0, 0]), (4, 4)),
        (own, LOGITS[:, :1], T([0, 1, 0, 1]), None),  # one number an image: whose threshold?
        (CROSS, LOGITS, SOFT, (2, 4)),
        (CROSS, LOGITS, ONE_HOT.float(), (2, 4)),
        (CROSS, LOGITS, 2 * SOFT, None),
        (own, LOGITS, ONE_HOT.float(), (2, 4)),
        (own, LOGITS, SOFT, None),  # shares, or a regression
        (own, LOGITS, ONE_HOT, None),  # whole numbers of the outputs' form: no class, no share
        (own, LOGITS, torch.zeros(4, 3), None),
        (BINARY, T([[0.1, -0.1, 2.0], [1.0, 0.0, 3.0]]), YES_NO, (4, 6)),  # 0 is no
        (SHARES, T([[0.6, 0.4, 0.9], [0.51, 0.5, 1.0]]), YES_NO, (4, 6)),  # a half is no
        (nn.BCEWithLogitsLoss(), T([0.3, -0.3]), T([1.0, 1.0]), (1, 2)),
        (nn.MultiLabelSoftMarginLoss(), T([[1.0, -1.0]]), T([[1.0, 1.0]]), (1, 2)),
        (functional.mse_loss, T([0.3, -0.3]), T([1.0, 0.0]), None),
        (functional.mse_loss, T([[0.3], [-0.3]]), T([[1.0], [1.0]]), None),
        (functional.mse_loss, LOGITS, SOFT, None),
        (CROSS, LOGITS, T([0.0, 1.0, 0.0, 2.0]), None),
        (own, LOGITS[:, :2], SOFT, None),
        (own, None, CLASSES, None),
    ],
)
def test_what_counts_as_a_hit(loss, outputs, labels, found):
    judge = judge_of(kind_of(loss), outputs, labels)
    if found is None:
        assert judge is None
    else:
        hits, places = judge(outputs, labels)
        assert (int(hits), int(places)) == found


def test_the_labels_of_all_parts_decide_together():
    """One-hot in training and shares in validation are no classes; a label to be ignored in one is ignored in both."""
    assert judge_of(kind_of(own), LOGITS, ONE_HOT.float(), ONE_HOT.float()) is not None
    assert judge_of(kind_of(own), LOGITS, ONE_HOT.float(), SOFT) is None
    judge = judge_of(kind_of(CROSS), LOGITS, CLASSES, T([-100, 0, 0, 0]))
    assert tuple(map(int, judge(LOGITS, CLASSES))) == (2, 4)
    assert tuple(map(int, judge(LOGITS, T([-100, 1, 0, 2])))) == (1, 3)


def test_sums_of_batches_give_the_means_over_images_and_places():
    judge = judge_of(kind_of(CROSS), LOGITS, CLASSES)
    totals = sums_of_nothing(torch.device("cpu"))
    assert totals.tolist() == [0, 0, 0, 0]
    assert totals.dtype == torch.float64
    for part, loss in ((slice(0, 3), 2.0), (slice(3, 4), 6.0)):
        totals += sums(judge, LOGITS[part], CLASSES[part], T(loss, requires_grad=True))
    assert totals.tolist() == [3 * 2 + 6, 2, 4, 4]
    assert scores(totals) == {"loss": 3.0, "accuracy": 0.5}
    bare = sums(None, LOGITS, CLASSES, T(2.0))
    assert bare.tolist() == [8, 0, 0, 4]
    assert scores(bare) == {"loss": 2.0}
    assert math.isnan(scores(bare)["accuracy"])
    assert sums(judge, None, CLASSES, T(2.0)).tolist() == [8, 0, 0, 4]
    with pytest.raises(KeyError):
        scores(bare)["recall"]
