import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.measure import accuracy_at_coverage, aurc, excess_aurc, risk_coverage
from workbench.measure.discrimination import ValueGroups
from workbench.measure.selective import SelectiveRisk

ANSWERS = st.lists(
    st.tuples(st.sampled_from([0, 20, 50, 90]), st.booleans()), min_size=1, max_size=12
)


def over_orders(confidence: np.ndarray, correct: np.ndarray, draws: int = 4000) -> np.ndarray:
    """Mean risk of the k most confident, over random orders of ties."""
    rng = np.random.default_rng(0)
    risks = []
    for _ in range(draws):
        order = np.lexsort((rng.random(len(correct)), -confidence))
        risks.append(np.cumsum(~correct[order]) / np.arange(1, len(correct) + 1))
    return np.mean(risks, axis=0)


def test_by_hand_without_ties() -> None:
    # Right, wrong, right from the top: risks 0, 1/2, 1/3.
    assert np.isclose(aurc([3, 2, 1], [1, 0, 1]), (0 + 1 / 2 + 1 / 3) / 3)
    # Best order: 0, 0, 1/3.
    assert np.isclose(excess_aurc([3, 2, 1], [1, 0, 1]), 1 / 2 / 3)
    assert excess_aurc([3, 2, 1], [1, 1, 0]) == 0
    curve = risk_coverage([3, 2, 1], [1, 0, 1])
    assert curve.threshold.tolist() == [3, 2, 1]
    assert np.allclose(curve.coverage, [1 / 3, 2 / 3, 1])
    assert np.allclose(curve.risk, [0, 1 / 2, 1 / 3])


def test_ties_are_expectations_over_orders() -> None:
    confidence = np.array([9, 9, 9, 5, 5, 1, 1, 1])
    correct = np.array([1, 0, 1, 1, 0, 0, 1, 0], dtype=bool)
    risk = over_orders(confidence, correct)
    assert np.isclose(aurc(confidence, correct), risk.mean(), atol=0.004)
    shares = np.array([0.25, 0.5, 0.75, 1.0])
    assert np.allclose(
        accuracy_at_coverage(confidence, correct, shares), 1 - risk[[1, 3, 5, 7]], atol=0.02
    )


@given(ANSWERS)
def test_one_confidence_selects_nothing(answers: list[tuple[int, bool]]) -> None:
    correct = np.array([right for _, right in answers])
    risk = aurc(np.ones(len(correct)), correct)
    assert np.isclose(risk, 1 - correct.mean())
    assert np.isclose(
        accuracy_at_coverage(np.ones(len(correct)), correct, [0.3])[0], correct.mean()
    )


@given(ANSWERS)
def test_excess_is_never_negative_and_order_of_rows_does_not_count(
    answers: list[tuple[int, bool]],
) -> None:
    confidence, correct = (np.array(column) for column in zip(*answers, strict=True))
    assert excess_aurc(confidence, correct) >= -1e-12
    assert np.isclose(aurc(confidence, correct), aurc(confidence[::-1], correct[::-1]))
    assert np.isclose(accuracy_at_coverage(confidence, correct, [1.0])[0], correct.mean())


@given(ANSWERS, st.integers(0, 1000))
def test_counts_equal_repeated_rows(answers: list[tuple[int, bool]], seed: int) -> None:
    confidence, correct = (np.array(column) for column in zip(*answers, strict=True))
    counts = np.random.default_rng(seed).integers(0, 4, len(answers))
    selective = SelectiveRisk(ValueGroups(confidence.astype(float), correct))
    drawn = np.repeat(confidence, counts), np.repeat(correct, counts)
    row = counts[None].astype(float)
    assert np.isclose(selective.aurc(row)[0], aurc(*drawn), equal_nan=True)
    assert np.isclose(
        selective.excess_aurc(row)[0], excess_aurc(*drawn), equal_nan=True, atol=1e-12
    )
    half = accuracy_at_coverage(*drawn, [0.5])[0]
    assert np.isclose(selective.accuracy_at(0.5)(row)[0], half, equal_nan=True)


def test_unparsed_are_skipped_and_nothing_is_undefined() -> None:
    assert aurc([np.nan, 1], [0, 1]) == 0
    assert np.isnan(aurc([np.nan], [0]))
    assert len(risk_coverage([np.nan], [0]).coverage) == 0
    assert np.isnan(accuracy_at_coverage([np.nan], [0], [0.5])[0])


@pytest.mark.parametrize("coverage", [0, 1.5])
def test_coverage_is_a_share(coverage: float) -> None:
    with pytest.raises(WorkbenchError, match="share above 0"):
        accuracy_at_coverage([1], [1], [coverage])
