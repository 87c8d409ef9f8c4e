"""SVM head: its optimum is scikit-learn's, its gradient comes from violated margins alone."""

import numpy as np
import pytest
import torch
from sklearn.svm import LinearSVC
from torch.nn import functional

from resnetbook.structure.fully_connected import SVMHead, fit_svm


def clouds(classes=2, count=60, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = rng.normal(size=(classes, 4)) * 1.5
    return torch.tensor(centres[labels] + rng.normal(size=(count, 4))), torch.tensor(labels)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("cost", [0.1, 10.0])
def test_the_optimum_is_scikit_learns(classes, cost):
    x, labels = clouds(classes)
    head = SVMHead(4, classes, cost=cost).double()
    optimiser = torch.optim.LBFGS(
        head.parameters(),
        max_iter=500,
        tolerance_grad=1e-10,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimiser.zero_grad()
        loss = head.loss(head(x), labels)
        loss.backward()
        return loss

    optimiser.step(closure)
    # scikit-learn penalises its intercept, as this head does.
    theirs = LinearSVC(C=cost, loss="squared_hinge", dual=False, tol=1e-12, max_iter=10_000).fit(
        x.numpy(), labels.numpy()
    )
    weight, bias = head.linear.weight.detach().numpy(), head.linear.bias.detach().numpy()
    if classes == 2:  # one machine there, two mirrored ones here
        np.testing.assert_allclose(weight[0], -weight[1], atol=1e-6)
        weight, bias = weight[1:], bias[1:]
    np.testing.assert_allclose(weight, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(bias, theirs.intercept_, atol=1e-5)


def test_only_violated_margins_pull():
    head = SVMHead(2, 2).double()
    scores = torch.tensor([[1.5, -2.0], [0.2, -3.0]], dtype=torch.float64, requires_grad=True)
    head.loss(scores, torch.tensor([0, 0])).backward()
    assert scores.grad.tolist() == [[0, 0], [pytest.approx(-2 * 0.8), 0]]


def test_scaling_features_against_the_cost_leaves_decisions():
    x, labels = clouds(3, seed=1)
    decisions = []
    for scale, cost in ((1.0, 1.0), (3.0, 1 / 9)):
        found = fit_svm(x * scale, labels, cost=cost, kernel="linear")
        decisions.append(found.decision_function((x * scale).numpy()))
    np.testing.assert_allclose(decisions[0], decisions[1], atol=1e-2)


def test_a_curved_border_needs_the_rbf_kernel():
    rng = np.random.default_rng(2)
    x = torch.tensor(rng.normal(size=(300, 2)))
    labels = (x.norm(dim=1) > 1.2).long()
    accuracy = {k: fit_svm(x, labels, kernel=k).score(x.numpy(), labels.numpy()) for k in ("linear", "rbf")}
    assert accuracy["rbf"] > 0.95
    assert accuracy["linear"] < 0.8


def test_the_objective_is_written_out():
    x, labels = clouds(3)
    head = SVMHead(4, 3, cost=2.0).double()
    scores = head(x)
    total = sum(
        max(0.0, 1 - (1 if k == label else -1) * scores[i, k].item()) ** 2
        for i, label in enumerate(labels)
        for k in range(3)
    )
    size = sum(p.square().sum().item() for p in head.parameters()) / 2
    assert head.loss(scores, labels).item() == pytest.approx(size + 2 * total)
    assert functional.one_hot(labels, 3).shape == scores.shape


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SVMHead(0, 2), "features=0"),
        (lambda: SVMHead(2, 2, cost=0), "cost=0"),
        (lambda: SVMHead(2, 2)(torch.zeros(1, 3)), r"expected \(N, 2\)"),
        (
            lambda: SVMHead(2, 2).loss(torch.zeros(2, 2), torch.zeros(3, dtype=torch.long)),
            "expected one for each row",
        ),
        (lambda: fit_svm(torch.zeros(2, 2), torch.zeros(2)), r"only \[0.0\] found"),
        (lambda: fit_svm(torch.zeros(2, 2), torch.zeros(3)), "expected"),
        (lambda: fit_svm(torch.zeros(2, 2), torch.tensor([0, 1]), kernel="poly"), "kernel='poly'"),
        (lambda: fit_svm(torch.zeros(2, 2), torch.tensor([0, 1]), cost=-1), "cost=-1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
