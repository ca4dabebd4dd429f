import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from workbench.measure import auprc, auprc_wrong

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
