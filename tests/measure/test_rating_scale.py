import math

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import rating_scale
from workbench.measure.rating_scale import tier_of


def test_indices_by_hand() -> None:
    scale = rating_scale([100, 100, 99, 95, 90, 50, 5, 0, np.nan], [1, 1, 1, 0, 1, 0, 0, 0, 1])
    assert scale.n == 8
    assert scale.ceiling_rate == 4 / 8
    assert scale.floor_rate == 2 / 8
    # Bins floor(c / 10): 10 holds two, 9 holds three, 5 one, 0 two; seven of eleven are empty.
    assert scale.modal_bin_share == 3 / 8
    assert scale.bin_sparsity == 7 / 11
    c, y = np.array([100, 100, 99, 95, 90, 50, 5, 0]), np.array([1, 1, 1, 0, 1, 0, 0, 0])
    r = np.mean((c - c.mean()) * (y - y.mean())) / (c.std() * y.std())
    assert math.isclose(scale.pearson_r, r)
    assert scale.tier == "Indeterminate"


@pytest.mark.parametrize(
    ("ceiling", "modal", "r", "tier"),
    [
        (0.70, 0.1, 0.5, "Invalid"),
        (0.69, 0.1, 0.5, "Indeterminate"),
        (0.39, 0.80, 0.5, "Invalid"),
        (0.39, 0.60, 0.5, "Indeterminate"),
        (0.39, 0.59, 0.5, "Valid"),
        (0.39, 0.59, -0.05, "Valid"),
        (0.39, 0.59, 0.049, "Invalid"),
        (0.39, 0.59, float("nan"), "Invalid"),
    ],
)
def test_limits_of_the_tiers(ceiling: float, modal: float, r: float, tier: str) -> None:
    assert tier_of(ceiling, modal, r) == tier


def test_a_constant_rating_is_invalid_without_a_warning() -> None:
    scale = rating_scale([70, 70], [1, 0])
    assert math.isnan(scale.pearson_r)
    assert scale.tier == "Invalid"


def test_nothing_parsed() -> None:
    scale = rating_scale([np.nan], [1])
    assert (scale.n, scale.tier) == (0, "Invalid")
    assert math.isnan(scale.bin_sparsity)


def test_a_rating_above_the_scale_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="0-100"):
        rating_scale([101], [1])
