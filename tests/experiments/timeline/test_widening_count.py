"""The counts that decide C21, against the closed form of the parameters and the published numbers."""

import pytest

from resnetbook.experiments.timeline import widening_count
from resnetbook.lab.running import Context

SETTINGS = widening_count.Settings()


@pytest.fixture
def found(tmp_path):
    context = Context("cpu", tmp_path / "x.pt")
    return {arm: widening_count.run(SETTINGS, arm, 0, context) for arm in widening_count.arms(SETTINGS)}


def wide(depth: int, k: int) -> int:
    """Parameters of WRN-depth-k for colour images and ten classes, summed layer by layer."""
    n, before, total = (depth - 4) // 6, 16, 9 * 3 * 16
    for width in (16 * k, 32 * k, 64 * k):
        for number in range(n):
            into = before if number == 0 else width
            total += 2 * into + 9 * into * width + 2 * width + 9 * width * width
            if into != width:
                total += into * width
        before = width
    return total + 2 * before + before * 10 + 10


def test_counts_are_those_of_the_closed_form(found):
    assert found["equal-depth"]["thin"] == pytest.approx(wide(40, 1), abs=0)
    for k in SETTINGS.factors:
        assert found["equal-depth"][f"ratio_{k}"] == pytest.approx(wide(40, k) / wide(40, 1))
    ratios = [found["equal-depth"][f"ratio_{k}"] for k in SETTINGS.factors]
    assert found["equal-depth"]["smallest_ratio"] == min(ratios)
    for name, form in (("40-4", (40, 4)), ("16-8", (16, 8))):
        assert found["equal-accuracy"][f"parameters_{name}"] == wide(*form)


def test_the_ratio_is_over_the_network_that_it_names(found):
    values = found["equal-accuracy"]
    for name in SETTINGS.wide:
        for rival in ("1001", "110"):
            expected = values[f"parameters_{name}"] / values[f"parameters_{rival}"]
            assert values[f"ratio_{name}_{rival}"] == expected
    # 10.33 and 1.7 million, as the table of claims and the paper say.
    assert values["parameters_1001"] == pytest.approx(10.33e6, rel=0.01)
    assert values["parameters_110"] == pytest.approx(1.73e6, rel=0.01)
