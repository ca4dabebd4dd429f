import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from workbench.measure import auroc2, auroc2_within
from workbench.measure.discrimination import Auroc2

ANSWERS = st.lists(
    st.tuples(st.sampled_from([0, 20, 50, 50.5, 90, 100]), st.booleans()), min_size=2, max_size=40
)


def test_pairs_counted_by_hand() -> None:
    # Right answers 3, 2 against wrong 2, 1: 3>2, 3>1, 2=2 (half), 2>1.
    assert auroc2([3, 2, 2, 1], [1, 1, 0, 0]) == 3.5 / 4


def test_check_vector() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    y = rng.random(1000) < p**2
    assert round(auroc2(p, y), 6) == 0.864199


@given(ANSWERS)
def test_equals_the_area_under_the_roc_curve(answers: list[tuple[float, bool]]) -> None:
    confidence, correct = (np.array(column) for column in zip(*answers, strict=True))
    if correct.all() or not correct.any():
        assert np.isnan(auroc2(confidence, correct))
    else:
        assert np.isclose(
            auroc2(confidence, correct), roc_auc_score(correct, confidence), atol=1e-12
        )


@given(ANSWERS, st.integers(0, 1000))
def test_counts_equal_repeated_rows(answers: list[tuple[float, bool]], seed: int) -> None:
    confidence, correct = (np.array(column) for column in zip(*answers, strict=True))
    counts = np.random.default_rng(seed).integers(0, 4, len(answers))
    repeated = auroc2(np.repeat(confidence, counts), np.repeat(correct, counts))
    weighted = Auroc2(confidence.astype(float), correct)(counts[None].astype(float))[0]
    assert np.isclose(repeated, weighted, equal_nan=True, atol=1e-12)


def test_unparsed_answers_are_skipped() -> None:
    assert auroc2([np.nan, 3, 2, 1, np.nan], [0, 1, 0, 0, 1]) == 1.0
    assert np.isnan(auroc2([np.nan, np.nan], [0, 1]))


def test_within_domain_is_a_plain_mean_that_ignores_difficulty() -> None:
    confidence = [9, 8, 9, 2, 1, 1, 5]
    correct = [1, 0, 1, 1, 0, 0, 1]
    domain = ["easy", "easy", "easy", "hard", "hard", "hard", "only right"]
    # easy: both right at 9 above 8 -> 1; hard: 2 above 1, 1 -> 1; the third domain has one class.
    assert auroc2_within(confidence, correct, domain) == 1.0
    # Domain means 1 and .5 average to .75 although the first holds three quarters of the questions.
    assert (
        auroc2_within([1, 0, 1, 0, 1, 0, 7, 7], [1, 0, 1, 0, 1, 0, 1, 0], ["a"] * 6 + ["b"] * 2)
        == 0.75
    )


def test_knowing_only_the_domain_discriminates_pooled_but_not_within() -> None:
    domain = ["easy"] * 10 + ["hard"] * 10
    correct = [1] * 8 + [0] * 2 + [0] * 8 + [1] * 2
    confidence = [90] * 10 + [10] * 10
    assert auroc2(confidence, correct) == 0.8
    assert auroc2_within(confidence, correct, domain) == 0.5


def test_within_is_undefined_when_no_domain_has_both_classes() -> None:
    assert np.isnan(auroc2_within([1, 2], [1, 0], ["a", "b"]))
