from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from workbench.config import RunConfig
from workbench.experiments.confidence_alignment.read import EIGHT, Confidences
from workbench.experiments.confidence_alignment.results import (
    AlignmentResults,
    ChoiceAccuracy,
    choice_accuracy,
    letter_shares,
    measure_alignment,
    stated_of,
    to_steps,
)
from workbench.measure import Estimate, auroc2

SPOKEN, CONSTANT, UNREAD = EIGHT[0], EIGHT[1], EIGHT[2]


@pytest.fixture(scope="module")
def results(planted_confidences: Confidences) -> AlignmentResults:
    return measure_alignment(planted_confidences, RunConfig(), resamples=100, seed=0)


def test_a_stated_confidence_that_follows_is_aligned_and_shuffled_pairs_are_not(
    results: AlignmentResults,
) -> None:
    found = results.of(SPOKEN, "stated")
    p_ic = results.confidences.internal["p_ic"]
    stated = stated_of(results.confidences, SPOKEN, "stated")
    assert set(np.round(100 * stated)) == {8, 17, 25, 33, 42, 50, 58, 67, 75, 83, 92, 100}
    assert found.measured.rho.value == pytest.approx(spearmanr(p_ic, stated).statistic)
    assert found.measured.rho.value > 0.98
    for null in (found.shuffled, found.shuffled_within):
        assert abs(null.value) < 0.03
        assert null.low < 0 < null.high < 0.4
    assert found.measured.ceiling_share == pytest.approx(5 / 60)
    assert found.measured.auroc2_stated.value == pytest.approx(
        auroc2(stated, results.confidences.internal["correct"])
    )
    assert results.internal.value == 1.0
    assert results.internal_within.value == 1.0


def test_a_text_between_two_steps_counts_as_the_next() -> None:
    steps = [0.2, 0.6, 1.0]
    found = to_steps(np.array([0.9999, 0.1, 0.39, 0.4, np.nan, 0.81]), steps)
    np.testing.assert_array_equal(found, [1.0, 0.2, 0.2, 0.6, np.nan, 1.0])


def test_what_cannot_be_read_or_never_differs_is_said(results: AlignmentResults) -> None:
    constant, unread = results.of(CONSTANT, "stated"), results.of(UNREAD, "stated")
    assert np.isnan(constant.measured.rho.value)
    assert np.isnan(constant.shuffled.value)
    assert constant.measured.ceiling_share == 1.0
    assert constant.cells["top"]["internal_over"] == 0.0
    assert (unread.measured.rho.n, unread.measured.parse_rate) == (45, 0.75)
    assert unread.measured.rho.value < -0.9
    # The internal confidence is judged on the same 45.
    assert unread.measured.auroc2_internal.n == 45


def test_cells_are_cut_at_the_top_step_and_at_the_median(results: AlignmentResults) -> None:
    cells = results.of(SPOKEN, "stated").cells
    assert list(cells) == ["top", "median"]
    assert cells["top"]["consistent"] == pytest.approx(5 / 60)
    assert cells["top"]["internal_over"] == pytest.approx(25 / 60)
    assert cells["median"] == pytest.approx(
        {"consistent": 0.5, "internal_over": 0.0, "external_over": 0.0, "discordant": 0.5}, abs=1e-9
    )


def test_the_table_has_one_line_a_prompt_and_readout(results: AlignmentResults) -> None:
    table = results.table()
    assert len(table) == 18
    assert not table.duplicated(["format", "readout"]).any()
    assert set(table["mass"]) == {0.5}
    assert table.set_index(["format", "readout"]).loc[(SPOKEN.format, "stated"), "rho"] > 0.98


def test_accuracy_stands_beside_chance(planted_confidences: Confidences) -> None:
    read = planted_confidences
    found = choice_accuracy(read)
    assert found.accuracy.value == pytest.approx(read.internal["correct"].mean())
    assert found.chance == 0.5
    assert found.same_letter == 1.0


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.3, 0.6, "better than guessing"),
        (0.1, 0.2, "worse than guessing"),
        (0.2, 0.3, "cannot be told from guesses"),
    ],
)
def test_the_words_follow_from_the_interval(low: float, high: float, words: str) -> None:
    estimate = Estimate((low + high) / 2, low, high, 100)
    assert words in ChoiceAccuracy(estimate, 0.25, estimate, 1.0).words


def test_letters_show_a_liking(planted_confidences: Confidences) -> None:
    read = planted_confidences
    first, second = letter_shares(read)
    assert (first.letter, first.n, first.right.value, second.right.value) == ("A", 60, 1.0, 0.0)
    assert first.chosen.value == pytest.approx(read.internal["correct"].mean())
    assert first.weight + second.weight == pytest.approx(1.0)
