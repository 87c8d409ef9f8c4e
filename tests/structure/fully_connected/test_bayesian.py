"""Bayesian head: its divergence and draws, finite differences of its bound, and a case whose posterior is known."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from resnetbook.structure.fully_connected import BayesianLinear, expected_calibration_error


def layer(**settings):
    torch.manual_seed(0)
    return BayesianLinear(3, 2, **settings).double()


def test_the_divergence_is_torchs():
    head = layer(prior=0.7, width=0.3)
    wanted = sum(
        kl_divergence(Normal(mean, width), Normal(torch.zeros_like(mean), 0.7)).sum()
        for mean, width in zip((head.mean.weight, head.mean.bias), head.widths(), strict=True)
    )
    torch.testing.assert_close(head.kl(), wanted)
    assert head.widths()[0].max().item() == pytest.approx(0.3)


def test_drawn_outputs_have_the_law_of_drawn_weights():
    torch.manual_seed(1)
    head, x = layer(width=0.4), torch.randn(5, 3, dtype=torch.float64)
    weight, bias = head.widths()
    weights = head.mean.weight + weight * torch.randn(40_000, 2, 3, dtype=torch.float64)
    biases = head.mean.bias + bias * torch.randn(40_000, 2, dtype=torch.float64)
    outputs = torch.einsum("soi,ni->sno", weights, x) + biases[:, None]
    drawn = head.draw(x, 40_000)
    mean, variance = head.moments(x)
    for found in (outputs, drawn):
        torch.testing.assert_close(found.mean(0), mean, rtol=0, atol=0.03)
        torch.testing.assert_close(found.var(0), variance, rtol=0.05, atol=0)


def test_without_width_it_is_the_linear_layer():
    head, x = layer(width=1e-9), torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(head(x), head.mean(x), rtol=0, atol=1e-7)
    head = layer(width=0.5)
    assert not torch.allclose(head(x), head(x)), "in training it draws"
    assert torch.equal(head.eval()(x), head.mean(x))


def test_gradients_of_the_bound_by_finite_differences():
    head, x, labels = layer(width=0.2), torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0])

    def bound(weight, rho):
        torch.manual_seed(2)  # the same noise at each evaluation
        parameters = {"mean.weight": weight, "rho": rho}
        scores = torch.func.functional_call(head, parameters, (x,))
        fixed = torch.func.functional_call(
            _Divergence(head), {f"head.{k}": v for k, v in parameters.items()}, ()
        )
        return fixed / 4 + torch.nn.functional.cross_entropy(scores, labels)

    assert torch.autograd.gradcheck(bound, (head.mean.weight, head.rho))


class _Divergence(torch.nn.Module):
    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self):
        return self.head.kl()


def test_a_linear_model_with_known_noise_finds_its_posterior():
    """The means are ridge regression's, the variances the inverse of the precision's diagonal: never above the true ones."""
    torch.manual_seed(3)
    noise, count = 0.5, 30
    x = torch.randn(count, 3, dtype=torch.float64) @ torch.tensor(
        [[1.0, 0.8, 0], [0, 1, 0.5], [0, 0, 1]], dtype=torch.float64
    )
    y = x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + noise * torch.randn(
        count, dtype=torch.float64
    )
    head = BayesianLinear(3, 1, width=0.1).double()
    with torch.no_grad():
        head.mean.bias.zero_()
        head.rho_bias.fill_(-40)  # no bias in this model
    parameters = [head.mean.weight, head.rho]
    optimiser = torch.optim.LBFGS(
        parameters, max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        mean, variance = head.moments(x)
        # The expected log-likelihood in closed form: no draw, so that the optimum is exact.
        loss = ((mean[:, 0] - y).square() + variance[:, 0]).sum() / (2 * noise**2) + head.kl()
        loss.backward()
        return loss

    optimiser.step(closure)
    precision = torch.eye(3, dtype=torch.float64) + x.T @ x / noise**2
    posterior = torch.linalg.solve(precision, x.T @ y / noise**2)
    torch.testing.assert_close(head.mean.weight.detach()[0], posterior, rtol=1e-5, atol=1e-6)
    variances = head.widths()[0].detach()[0].square()
    torch.testing.assert_close(variances, 1 / precision.diagonal(), rtol=1e-4, atol=0)
    true = torch.linalg.inv(precision).diagonal()
    assert (variances <= true + 1e-12).all()
    assert (variances < 0.8 * true).any()


def test_averaged_probabilities_are_less_sure_than_those_of_the_means():
    torch.manual_seed(4)
    head, x = layer(width=1.5).eval(), 3 * torch.randn(200, 3, dtype=torch.float64)
    averaged = head.probabilities(x, 200)
    torch.testing.assert_close(averaged.sum(1), torch.ones(200, dtype=torch.float64))
    assert averaged.max(1).values.mean() < head(x).softmax(1).max(1).values.mean() - 0.05


def test_calibration_error_of_known_cases():
    certain = torch.tensor([[0.9, 0.1]] * 10)
    labels = torch.tensor([0] * 9 + [1])
    assert expected_calibration_error(certain, labels) == pytest.approx(0, abs=1e-6)
    assert expected_calibration_error(certain, 1 - labels) == pytest.approx(0.8, abs=1e-6)
    mixed = torch.cat([certain, torch.tensor([[0.55, 0.45]] * 10)])
    both = torch.cat([labels, torch.zeros(10, dtype=torch.long)])
    assert expected_calibration_error(mixed, both) == pytest.approx(0.5 * 0.45, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BayesianLinear(0, 1), "in_features=0"),
        (lambda: BayesianLinear(1, 1, prior=0), "prior=0"),
        (lambda: BayesianLinear(1, 1, width=-1), "width=-1"),
        (lambda: BayesianLinear(2, 1)(torch.zeros(1, 3)), r"expected \(N, 2\)"),
        (lambda: BayesianLinear(2, 1).draw(torch.zeros(1, 2), 0), "samples=0"),
        (lambda: expected_calibration_error(torch.zeros(0, 2), torch.zeros(0)), "expected"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_loss_weighs_the_divergence_by_the_whole_training_set():
    head, scores, labels = layer(), torch.randn(4, 2, dtype=torch.float64), torch.tensor([0, 1, 1, 0])
    wanted = head.kl() / 50 + torch.nn.functional.cross_entropy(scores, labels)
    torch.testing.assert_close(head.loss(scores, labels, samples=50), wanted)
