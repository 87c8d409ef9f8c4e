"""The experiments: fair arms, repeatable seeds, and records that decide what the claims ask."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from resnetbook import survey
from resnetbook.experiments import experiment, experiments
from resnetbook.experiments.principle import (
    adjustment,
    degradation,
    gradient_ratio,
    growth,
    one_block,
    pooling_information,
    pooling_robustness,
    position,
    robustness,
    sharing,
)
from resnetbook.lab import fitting, measuring, results, training
from resnetbook.lab.data import Part, load, on_canvas
from resnetbook.lab.running import Context

# Settings of the live scale made smaller still: a minute for all of them together.
SMALL = {"epochs": 1, "train_size": 60, "batch_size": 60, "data": "digits", "size": 0}
TINY: dict[str, dict[str, Any]] = {
    "adjustment": {"depth": 8, "widths": (2, 4, 8), "epochs": 1, "batch_size": 250, "images": 8},
    "cardinality": {**SMALL},
    "cell_search": {
        "target_train_size": 60,
        "target_test_size": 40,
        "cells": 2,
        "target_data": "digits",
        "target_size": 0,
    },
    "comparison": {**SMALL},
    "dense_efficiency": {**SMALL},
    "dense_overfitting": {**SMALL, "train_sizes": (40, 60)},
    "dense_reuse": {**SMALL},
    "dense_sharing": {},
    "asymmetric": {**SMALL, "width": 2},
    "degradation": {"depths": (8,), "widths": (2, 4, 8), "epochs": 2, "batch_size": 250},
    "deletion": {
        **SMALL,
        "widths": (2, 4, 8),
        "networks": ("residual-8", "plain-8", "stochastic-8"),
        "together": (2, 3),
    },
    "dropped_layers": {**SMALL, "widths": (2, 4, 8)},
    "dual_path": {**SMALL, "limits": True},
    "factorisation_cost": {"channels": (4,), "size": 9, "batch_size": 1, "repeats": 1},
    "gradient_ratio": {"depths": (8, 14), "widths": (2, 4, 8), "images": 8},
    "growth": {"widths": (2, 4, 8), "epochs_before": 1, "batch_size": 250},
    "identity_cost": {},
    "inception_module": {**SMALL, "size": 8},
    "one_block": {"channels": 2, "size": 4, "steps": 10, "rates": (0.003, 0.01)},
    "orders": {**SMALL, "widths": (2, 4, 8)},
    "pooling_information": {"width": 2, "epochs": 1},
    "pooling_robustness": {"widths": (2, 2, 2), "epochs": 1, "shifts": (1,), "noises": (0.5,)},
    "position": {"widths": (2, 2, 2), "epochs": 1, "shifts": (2,)},
    "preactivation": {**SMALL, "widths": (2, 4, 8)},
    "redundancy": {**SMALL, "images": 30},
    "residual_inception": {**SMALL, "widths": (4, 8, 12), "scales": (0.1, 0.3, 1.0)},
    "robustness": {"widths": (2, 4, 8), "epochs": 1, "shifts": (2,), "turns": (20.0,), "scales": (0.8,)},
    "sharing": {},
    "shortcut_levels": {**SMALL, "widths": (2, 4, 8)},
    "two_streams": {**SMALL, "widths": (2, 4, 8)},
    "widening_count": {},
    "width_or_depth": {**SMALL, "widths": (2, 4, 8), "deep": (22, 1)},
}
TIMES = re.compile("second|time|step_ratio")  # what differs between two equal runs


def tiny(name: str) -> Any:
    return dataclasses.replace(experiment(name).scales["live"], **TINY[name])


def job(name: str, arm: str, folder: Path, seed: int = 0) -> dict[str, Any]:
    """One arm, one seed, as the runner does it; without the metrics that are times."""
    found, settings = experiment(name), tiny(name)
    context = Context("cpu", folder / f"{arm}.pt")
    tuned = found.tune(settings, arm, context) if found.tune is not None else {}
    values = found.run(settings, arm, seed, dataclasses.replace(context, tuned=tuned))
    return {metric: value for metric, value in values.items() if not TIMES.search(metric)}


def decisions() -> list[Any]:
    return [
        pytest.param(decision, id=f"{claim.id}-{decision.metric}-{decision.a}-{decision.variant}")
        for claim in survey.claims()
        for decision in claim.decisions
    ]


def test_claims_c01_to_c38_have_an_experiment_that_names_them():
    found = experiments()
    assert {item.name for item in found} == set(TINY)
    assert {claim for item in found for claim in item.claims} >= {f"C{number:02}" for number in range(1, 39)}
    for item in found:
        module = importlib.import_module(item.module)
        for claim in item.claims:
            assert claim in (module.__doc__ or ""), item.name


@pytest.mark.parametrize("decision", decisions())
def test_each_decision_names_arms_and_settings_that_exist(decision):
    found = experiment(decision.experiment)
    scale = decision.scale or "quick"
    settings = found.standard(scale, decision.variant)
    assert getattr(settings, "data", None) == decision.variant
    arms = found.arms(settings)
    assert decision.a in arms
    assert decision.b is None or decision.b in arms


@pytest.mark.parametrize("name", TINY)
def test_every_arm_gives_the_same_numbers_twice_and_what_the_claims_ask_for(name, tmp_path):
    (tmp_path / "again").mkdir()
    arms = experiment(name).arms(tiny(name))
    asked: dict[str, set[str]] = {}
    for parameter in decisions():
        decision = parameter.values[0]
        # Two classes have an area under the curve, ten digits have none.
        unasked = decision.metric == "test_auc" or TIMES.search(decision.metric)
        if decision.experiment == name and not unasked:
            for arm in filter(None, (decision.a, decision.b)):
                # Sizes differ at the tiny setting; the metrics of an arm do not depend on them.
                same_kind = [other for other in arms if kind_of(other) == kind_of(arm)]
                assert same_kind, arm
                asked.setdefault(arm if arm in arms else same_kind[0], set()).add(decision.metric)
    for arm in arms:
        first = job(name, arm, tmp_path)
        assert asked.get(arm, set()) <= set(first)
        for metric, value in first.items():
            assert isinstance(value, float | list), metric
        assert results.plain(first) == results.plain(job(name, arm, tmp_path / "again"))


def kind_of(arm: str) -> str:
    """An arm's name without its numbers: residual-20 and residual-8 are of one kind."""
    return re.sub(r"\d+(\.\d+)?", "N", arm)


def weights(model: nn.Module) -> dict[str, Any]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("depth", [8, 20])
def test_degradation_twins_differ_in_the_addition_alone(depth):
    settings, data = degradation.Settings(), load("digits")
    nets = []
    for kind in ("plain", "residual"):
        torch.manual_seed(3)
        nets.append(degradation.network(settings, f"{kind}-{depth}", data).eval())
    assert same(weights(nets[0]), weights(nets[1]))
    x = data.train.images[:4]
    assert not torch.allclose(nets[0](x), nets[1](x))


def test_pooling_arms_have_the_same_parameters_and_initial_weights():
    settings = pooling_robustness.Settings(widths=(2, 4, 4))
    data = pooling_robustness.images_of(settings)
    nets = []
    for arm in pooling_robustness.arms(settings):
        torch.manual_seed(3)
        nets.append(pooling_robustness.network(settings, arm, data).eval())
    outputs = [net(data.test.images[:3]) for net in nets]
    first = list(weights(nets[0]).values())
    for net, output in zip(nets[1:], outputs[1:], strict=True):
        for a, b in zip(first, weights(net).values(), strict=True):
            assert torch.equal(a, b)
        assert not torch.allclose(output, outputs[0])


def test_robustness_arms_have_equal_parameters_within_two_percent():
    for scale in ("quick", "full"):
        settings = experiment("robustness").scales[scale]
        counts = [
            sum(weight.numel() for weight in build(settings, 1, 10).parameters())
            for build in (robustness.cnn, robustness.mlp)
        ]
        assert counts[1] == pytest.approx(counts[0], rel=0.02)


def test_position_heads_share_the_trunk():
    settings = position.Settings(widths=(2, 4, 4))
    data = position.images_of(settings)
    trunks = []
    for arm in position.arms(settings):
        torch.manual_seed(3)
        trunks.append(weights(position.network(settings, arm, data)[0]))
    assert same(*trunks)


@pytest.mark.parametrize("expansion", [1, 4])
@pytest.mark.parametrize(("one", "other"), [(1.0, 0.0), (1.0, 0.1), (0.0, 1.0)])
def test_one_block_arms_start_from_the_same_weights_and_can_represent_every_target(expansion, one, other):
    blocks = []
    for residual in (False, True):
        torch.manual_seed(3)
        blocks.append(one_block.Block(3, residual=residual, expansion=expansion))
    assert same(weights(blocks[0]), weights(blocks[1]))
    kernel, x = nn.Conv2d(3, 3, 3, padding=1, bias=False), torch.rand(2, 3, 5, 5)
    identity = torch.zeros(3, 3, 3, 3)
    identity[range(3), range(3), 1, 1] = 1
    for block in blocks:
        with torch.no_grad():
            block.conv1.weight[:3] = identity
            block.conv2.weight.zero_()
            block.conv2.weight[:, :3] = (one - float(block.residual)) * identity + other * kernel.weight
        torch.testing.assert_close(block(x), one * x + other * kernel(x), atol=1e-6, rtol=1e-5)


def test_sharing_counts():
    counts = {
        kind: sharing.parameters(kind, sharing.Settings()) for kind in ("convolution", "local", "dense")
    }
    assert counts == {
        "convolution": 16 * 16 * 9 + 16,
        "local": 28 * 28 * (16 * 16 * 9 + 16),
        "dense": (28 * 28 * 16) ** 2 + 28 * 28 * 16,
    }
    with pytest.raises(ValueError, match="kind is 'other'"):
        sharing.layer("other", sharing.Settings())


def test_a_locally_connected_layer_with_equal_kernels_is_a_convolution():
    convolution, local = nn.Conv2d(2, 2, 3, padding=1), sharing.LocallyConnected(2, 5, 3)
    x = torch.randn(3, 2, 5, 5)
    with torch.no_grad():
        local.weight.copy_(convolution.weight.view(1, 2, 18).expand_as(local.weight))
        local.bias.copy_(convolution.bias[:, None].expand_as(local.bias))
        torch.testing.assert_close(local(x), convolution(x))
        local.weight[0] += 1
        assert not torch.allclose(local(x), convolution(x))


def test_identity_cost_of_depth_20(tmp_path):
    pytest.importorskip("resnetbook.principle.counting")
    found = {arm: job("identity_cost", arm, tmp_path) for arm in ("type-A", "type-B", "type-C")}
    a, b, c = found.values()
    assert a["parameters"] == 97_216 * 3 - 21_926  # the closed form for 6n + 2 = 20
    assert (a["parameters_added"], a["multiplications_added"]) == (0, 0)
    assert b["parameters_added"] == 16 * 32 + 32 * 64 + 2 * (32 + 64)
    assert c["parameters_added"] > b["parameters_added"]
    # Three blocks in each stage: 16 maps of 32x32, 32 of 16x16, 64 of 8x8.
    assert {values["additions"] for values in found.values()} == {3 * (16 * 32**2 + 32 * 16**2 + 64 * 8**2)}


def test_gradient_ratio_is_the_quotient_of_two_norms():
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(4, 2, bias=False)).double()
    images, labels = torch.rand(3, 1, 2, 2).double(), torch.tensor([0, 1, 1])
    found = gradient_ratio.gradient_ratio(model, images, labels)
    scale, matrix = model[0].weight.detach().flatten(), model[2].weight.detach()
    flat = images.flatten(1)
    residue = (scale * flat @ matrix.T).softmax(1)
    residue[range(3), labels] -= 1
    first = ((residue @ matrix) * flat).sum() / 3
    last = residue.T @ (scale * flat) / 3
    assert found == pytest.approx(float(first.abs() / last.norm()))


def test_a_grown_network_computes_the_same_and_one_without_the_zero_does_not():
    settings, data = growth.Settings(widths=(2, 4, 8), epochs_before=1), load("digits")
    model = growth.trained(settings, data, 0, "cpu").eval()
    grown = growth.grow(model, settings).eval()
    x = data.test.images[:32]
    assert len(grown.blocks) == len(model.blocks) + 6
    assert torch.equal(model(x), grown(x))
    nn.init.ones_(grown.layer1[-1].bn2.weight)
    assert not torch.allclose(model(x), grown(x))
    with pytest.raises(ValueError, match="deep is 10"):
        growth.grow(model, dataclasses.replace(settings, deep=10))


def test_adjustments_measure_a_known_step():
    from resnetbook.principle.twins import TwinNet

    torch.manual_seed(0)
    model = TwinNet(8, widths=(2, 4, 8), residual=False)
    seen = adjustment.Adjustments(model, torch.rand(6, 1, 8, 8))
    seen.look()
    before = weights(model)
    with torch.no_grad():
        for block in seen.blocks.values():
            for convolution in (block.conv1, block.conv2):
                convolution.weight.mul_(1.25)
            block.bn2.weight.mul_(1.5)
    seen.on_step_end(0, model, None)
    seen.on_epoch_end(0, model, {})
    assert seen.step_curve == pytest.approx([0.25])
    # Batch norm undoes the scale of a convolution; what is left of F's change is that of the last norm's weight.
    assert seen.change_curve == pytest.approx([0.5], rel=1e-3)
    assert torch.equal(before["bn1.running_mean"], model.bn1.running_mean)  # looking leaves no trace


def test_mode_gap_finds_wrong_running_statistics_and_leaves_the_model_alone():
    settings, data = pooling_information.Settings(width=4, epochs=2), load("digits")
    torch.manual_seed(0)
    model = pooling_information.network(settings, data)
    fitting.train(model, data, epochs=2, learning_rate=0.05, batch_size=64, seed=0, device="cpu")
    before = weights(model)
    assert measuring.mode_gap(model, data.train) < 0.05
    assert same(before, weights(model))
    assert model[0][1].momentum == 0.1
    model[0][1].running_var.fill_(1e-4)
    model[0][1].running_mean.fill_(3.0)
    assert measuring.mode_gap(model, data.train) > 0.3


def test_a_probe_reads_labels_and_knows_nothing_where_there_is_nothing():
    data = load("digits")
    rows = nn.functional.one_hot(data.train.labels, 10).float().numpy()
    test = nn.functional.one_hot(data.test.labels, 10).float().numpy()
    assert pooling_information.probe(rows, data.train.labels, [(test, data.test)], 0.1) == [1.0]
    assert pooling_information.probe(0 * rows, data.train.labels, [(0 * test, data.test)], 0.1)[0] < 0.2


def test_shift_curve_moves_the_test_images():
    """A network that looks at one pixel is right when the pixel stays there, and wrong when it has left."""

    class Centre(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            lit = x[:, 0, 4, 4]
            return torch.stack([0.5 - lit, lit - 0.5], 1)

    images = torch.zeros(2, 1, 9, 9)
    images[:, :, 3:6, 3:6] = 1
    part = Part(images, torch.ones(2, dtype=torch.long))
    assert measuring.shift_curve(Centre(), part, (1, 2)) == [1.0, 0.0]
    assert measuring.kept([1.0, 0.0], 0.5) == 1.0
    assert math.isnan(measuring.kept([1.0], 0.0))


def test_on_canvas_centres_and_refuses_a_small_canvas():
    data = on_canvas("digits", picture=12, canvas=20)
    raw = data.unnormalise(data.test.images)
    assert raw.shape[1:] == (1, 20, 20)
    assert raw[:, :, :4].abs().max() < 1e-5
    assert raw[:, :, :, 16:].abs().max() < 1e-5
    assert raw[:, :, 4:16, 4:16].max() > 0.9
    with pytest.raises(ValueError, match="canvas"):
        on_canvas("digits", picture=12, canvas=10)


def test_best_rate_takes_the_lowest_score_and_never_one_that_is_no_number():
    scores = {0.1: math.nan, 0.2: 0.5, 0.3: 0.4, 0.4: math.inf}
    found = fitting.lowest(tuple(scores), scores.__getitem__)
    assert found == {"learning_rate": 0.3, "rates": [0.1, 0.2, 0.3, 0.4], "scores": [None, 0.5, 0.4, None]}
    with pytest.raises(ValueError, match="rates is empty"):
        fitting.lowest((), scores.__getitem__)


def test_a_target_that_is_never_reached_counts_one_epoch_more():
    assert fitting.first_epoch([0.5, 0.2, 0.05, 0.3], lambda value: value <= 0.1) == 3
    assert fitting.first_epoch([0.5, math.nan], lambda value: value <= 0.1) == 3


def test_max_learning_rate_is_the_largest_that_trains():
    settings = degradation.Settings(widths=(4, 8, 16), stable_rates=(1e-6, 0.1, 1e4))
    data = load("digits")
    assert degradation.max_learning_rate(settings, "residual-8", 0, data, "cpu") == 0.1
    hopeless = dataclasses.replace(settings, stable_rates=(1e-6, 3e-6), stable_epochs=1)
    assert degradation.max_learning_rate(hopeless, "residual-8", 0, data, "cpu") == pytest.approx(1e-6 / 3)


def records() -> list[Any]:
    return [pytest.param(path, id=path.name) for path in sorted(results.folder().glob("*.json"))]


@pytest.mark.parametrize("path", records())
def test_a_record_conforms(path):
    record = results.load(path)
    found = experiment(record.experiment)
    settings = found.standard(record.scale, record.variant)
    assert results.plain(dataclasses.asdict(settings)) == results.plain(record.settings)
    assert set(record.results) == set(found.arms(settings))
    assert len(record.seeds) >= 5
    assert list(record.seeds) == list(range(len(record.seeds)))
    for arm, metrics in record.results.items():
        for metric, values in metrics.items():
            assert len(values) == len(record.seeds), (arm, metric)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|work|tmp|usr|Users)/", text)
    if found.data is not None:
        assert re.fullmatch(r"[0-9a-f]{64}", json.loads(text)["data"]["checksum"])


@pytest.mark.parametrize("path", records())
def test_no_arm_of_a_record_owes_its_result_to_batch_norm(path):
    """The sanity check of the claims: accuracy in eval mode and with batch statistics agree on the training set."""
    record = results.load(path)
    for arm, metrics in record.results.items():
        # A network that learned nothing has nothing to agree on.
        learned = record.values(arm, "train_accuracy") > 0.5 if "train_accuracy" in metrics else None
        if "mode_gap" in metrics:
            gaps = record.values(arm, "mode_gap")
            gaps = gaps if learned is None else gaps[learned]
            assert len(gaps) == 0 or gaps.mean() < 0.05, (arm, gaps)


def test_training_settings_are_passed_on(monkeypatch):
    asked: list[training.Settings] = []

    def fit(model: nn.Module, *parts: Any, settings: training.Settings, **_: Any) -> training.History:
        asked.append(settings)
        return training.History()

    monkeypatch.setattr(training, "fit", fit)
    fitting.train(
        nn.Linear(1, 1), load("digits"), epochs=7, learning_rate=0.25, batch_size=9, seed=4, warmup_epochs=2,
        schedule="constant", device="cpu",
    )  # fmt: skip
    (settings,) = asked
    assert (settings.epochs, settings.learning_rate, settings.batch_size, settings.seed) == (7, 0.25, 9, 4)
    assert (settings.warmup_epochs, settings.schedule, settings.device) == (2, "constant", "cpu")
