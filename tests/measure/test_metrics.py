import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from workbench.measure import (
    accuracy_at_coverage,
    auprc,
    auprc_wrong,
    aurc,
    brier_decomposition,
    confidence_metrics,
    ece,
    excess_aurc,
    meta_information,
    smooth_ece,
    top_label,
)
from workbench.measure.interval import Estimate
from workbench.measure.metrics import METRICS, NOT_SKIPPING_UNPARSED, RECIPE

RNG = np.random.default_rng(6)
N = 200
STATED = np.round(RNG.uniform(0.01, 0.99, N), 2)
CORRECT = RNG.random(N) < STATED
STATED[[3, 50]] = np.nan
KNOWN = ~np.isnan(STATED)
P, Y = STATED[KNOWN], CORRECT[KNOWN]
PARTS = brier_decomposition(P, Y)
EXPECTED = {
    "accuracy": CORRECT.mean(),
    "auroc2": roc_auc_score(Y, P),
    "auprc": auprc(P, Y),
    "auprc_wrong": auprc_wrong(P, Y),
    "ece": ece(P, Y),
    "ece_debiased": None,
    "ece_equal_mass": ece(P, Y, binning="mass"),
    "ece_top_label": ece(*top_label(P, Y)),
    "smooth_ece": smooth_ece(P, Y),
    "brier": brier_score_loss(Y, P),
    "reliability": PARTS.reliability,
    "resolution": PARTS.resolution,
    "uncertainty": PARTS.uncertainty,
    "log_score": log_loss(Y, P),
    "meta_i": meta_information(P, Y).bits.value,
    "meta_i2r": meta_information(P, Y).of_entropy.value,
    "aurc": aurc(P, Y),
    "excess_aurc": excess_aurc(P, Y),
    "accuracy_at_50": accuracy_at_coverage(P, Y, [0.5])[0],
    "accuracy_at_80": accuracy_at_coverage(P, Y, [0.8])[0],
    "share_ge_90": np.mean(P >= 0.9),
}
WITHOUT_INTERVAL = ("smooth_ece", "resolution", "uncertainty")


@pytest.mark.parametrize("name", METRICS)
def test_each_row_is_its_own_measure(name: str) -> None:
    found = confidence_metrics(STATED, CORRECT, None, seed=0, resamples=20, names=(name,))[name]
    assert isinstance(found, Estimate)
    if name == "ece_debiased":
        assert 0 <= found.value < EXPECTED["ece"]
    else:
        assert found.value == pytest.approx(EXPECTED[name], abs=1e-12)
    assert found.n == (N if name in NOT_SKIPPING_UNPARSED else N - 2)
    assert np.isnan(found.low) if name in WITHOUT_INTERVAL else found.low <= found.high


def test_the_recipes_table_is_part_of_it() -> None:
    assert set(RECIPE) <= set(METRICS)
