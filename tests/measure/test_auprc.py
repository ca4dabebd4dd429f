import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from workbench.measure import auprc, auprc_wrong
from workbench.measure.bootstrap import resampled_rows
from workbench.measure.interval import Estimate
from workbench.measure.percentile import bounds
from workbench.measure.table import confidence_metrics

ANSWERS = st.lists(
    st.tuples(st.sampled_from([0, 20, 50, 90, 100]), st.booleans()), min_size=1, max_size=40
)


def test_by_hand() -> None:
    # From the top: right, wrong, right -> recall steps 1/2 at precision 1 and 1/2 at precision 2/3.
    assert np.isclose(auprc([3, 2, 1], [1, 0, 1]), 0.5 + 0.5 * 2 / 3)
    # From the bottom: right, wrong -> precision 1/2 when the only wrong one is found.
    assert auprc_wrong([3, 2, 1], [1, 0, 1]) == 0.5


@given(ANSWERS)
def test_equals_average_precision(answers: list[tuple[float, bool]]) -> None:
    confidence, correct = (np.array(column) for column in zip(*answers, strict=True))
    for found, positive, scores in (
        (auprc(confidence, correct), correct, confidence),
        (auprc_wrong(confidence, correct), ~correct, -confidence),
    ):
        expected = average_precision_score(positive, scores) if positive.any() else np.nan
        assert np.isclose(found, expected, equal_nan=True, atol=1e-12)


def test_unparsed_are_skipped() -> None:
    assert auprc([np.nan, 2, 1], [0, 1, 0]) == 1.0
    assert np.isnan(auprc([np.nan], [1]))


def test_the_interval_knows_no_more_than_the_answers_it_averages() -> None:
    """Ten right answers among 400: the quantiles are those of ten."""
    correct = np.arange(400) < 10
    confidence = np.round(np.random.default_rng(0).random(400) + 0.3 * correct, 1)
    found = confidence_metrics(
        np.clip(confidence, 0, 1),
        correct,
        None,
        seed=0,
        resamples=500,
        names=("auprc", "auprc_wrong"),
    )
    drawn: dict[str, list[float]] = {name: [] for name in found}
    for rows in np.concatenate(list(resampled_rows(400, resamples=500, seed=0))):
        a, right = np.clip(confidence, 0, 1)[rows], correct[rows]
        drawn["auprc"].append(auprc(a, right))
        drawn["auprc_wrong"].append(auprc_wrong(a, right))
    for name, n in (("auprc", 10), ("auprc_wrong", 390)):
        estimate = found[name]
        assert isinstance(estimate, Estimate)
        low, high = bounds(estimate.value, np.array(drawn[name]), 0.95, n)
        assert np.isclose([estimate.low, estimate.high], [low, high], rtol=1e-9).all()
        assert estimate.n == 400
