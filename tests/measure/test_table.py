import numpy as np

from workbench.measure import (
    Estimate,
    auroc2_estimate,
    auroc2_within_estimate,
    bootstrap,
    brier,
    brier_decomposition,
    confidence_metrics,
    ece,
    flatten,
    smooth_ece,
)

RNG = np.random.default_rng(11)
N = 80
CORRECT = RNG.random(N) < 0.5
STATED = np.clip(np.round(np.where(CORRECT, 0.3, 0.1) + 0.7 * RNG.random(N), 2), 0, 1)
STATED[[4, 9]] = np.nan
DOMAIN = np.array(["a", "b"])[RNG.integers(0, 2, N)]
TABLE = confidence_metrics(STATED, CORRECT, DOMAIN, seed=2, resamples=100)


def estimate(key: str) -> Estimate:
    value = TABLE[key]
    assert isinstance(value, Estimate)
    return value


def test_each_entry_equals_its_own_measure() -> None:
    assert estimate("auroc2") == auroc2_estimate(STATED, CORRECT, seed=2, resamples=100)
    assert estimate("auroc2_within") == auroc2_within_estimate(
        STATED, CORRECT, DOMAIN, seed=2, resamples=100
    )
    generic, mine = bootstrap(brier, STATED, CORRECT, seed=2, resamples=100), estimate("brier")
    assert np.allclose(
        [mine.value, mine.low, mine.high], [generic.value, generic.low, generic.high], atol=1e-9
    )
    for key, measure in (("ece", ece), ("smooth_ece", smooth_ece)):
        assert np.isclose(estimate(key).value, measure(STATED, CORRECT))
    parts = brier_decomposition(STATED, CORRECT)
    for key in ("reliability", "resolution", "uncertainty"):
        assert np.isclose(estimate(key).value, getattr(parts, key))


def test_accuracy_counts_everyone_and_confidence_only_the_parsed() -> None:
    assert estimate("accuracy").value == CORRECT.mean()
    assert estimate("accuracy").n == N
    parsed = np.isfinite(STATED)
    assert estimate("share_ge_90").value == (STATED[parsed] >= 0.9).mean()
    assert estimate("share_ge_90").n == N - 2
    assert TABLE["parse_rate"] == (N - 2) / N


def test_rating_scale_reads_whole_percentages() -> None:
    # 0.29 * 100 lies below 29 in floating point; 30, 60 and 95 sit on limits of the scale.
    table = confidence_metrics([0.3, 0.6, 0.95, 0.29], [1, 0, 1, 0], ["a"] * 4, seed=0, resamples=5)
    assert table["scale.ceiling_rate"] == 0.25
    assert table["scale.bin_sparsity"] == 7 / 11
    assert table["scale.tier"] == "Valid"


def test_flat_entries_carry_the_condition() -> None:
    flat = flatten(
        {"auroc2": Estimate(0.6, 0.5, 0.7, 9), "parse_rate": 1.0, "scale.tier": "Valid"}, "before"
    )
    assert flat == {
        "auroc2.before": 0.6,
        "auroc2.before.low": 0.5,
        "auroc2.before.high": 0.7,
        "parse_rate.before": 1.0,
        "scale.tier.before": "Valid",
    }
