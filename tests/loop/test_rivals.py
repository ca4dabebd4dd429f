from __future__ import annotations

import numpy as np
import pytest

from tests.support.readouts import READOUTS
from workbench.loop.conditions import BEFORE
from workbench.loop.rivals import (
    DOMAIN,
    LENGTH,
    RIVALS,
    domain_base_rate,
    measure_rivals,
    rival_key,
    text_scores,
)
from workbench.loop.tables import PROBE_MINUS, rival_rows
from workbench.measure import Bootstrap, Estimate, auroc2, auroc2_within


def test_base_rates_are_those_of_the_training_questions() -> None:
    domain = np.array(["a", "a", "a", "b", "b"])
    correct = np.array([True, True, False, False, False])
    asked = np.array(["b", "a", "new"])
    assert domain_base_rate(domain, correct, asked) == pytest.approx([0, 2 / 3, 2 / 5])


def test_text_is_read_by_a_line_that_training_questions_gave() -> None:
    rng = np.random.default_rng(0)
    correct = np.resize([True, False], 60)
    vectors = rng.standard_normal((60, 4)) + 2 * correct[:, None] * np.array([1, 0, 0, 0])
    scores = text_scores(vectors, correct, np.array([[3.0, 0, 0, 0], [-1.0, 0, 0, 0]]))
    assert scores[0] > 0 > scores[1]


def test_rivals_are_measured_as_the_probe_is() -> None:
    rng = np.random.default_rng(1)
    r, scores = READOUTS, rng.random(80)
    found = measure_rivals(r, {LENGTH: scores}, Bootstrap(100, 0))
    probe = r.probe[BEFORE]
    values = {key: each.value for key, each in found.items() if isinstance(each, Estimate)}
    assert values[rival_key(LENGTH)] == pytest.approx(auroc2(scores, r.correct))
    within = auroc2_within(scores, r.correct, r.domain)
    assert values[rival_key(LENGTH, within=True)] == pytest.approx(within)
    minus = auroc2_within(probe, r.correct, r.domain) - within
    assert values[rival_key(LENGTH, within=True, minus=True)] == pytest.approx(minus)
    assert str(rival_key(LENGTH, within=True, minus=True)) == (
        "probe_minus.auroc2.rival.answer_length.within.before"
    )


def test_the_base_rate_knows_nothing_within_a_domain() -> None:
    rate = np.where(READOUTS.domain == "a", 0.25, 0.75)
    found = measure_rivals(READOUTS, {DOMAIN: rate}, Bootstrap(100, 0))
    within, pooled = found[rival_key(DOMAIN, within=True)], found[rival_key(DOMAIN)]
    assert isinstance(within, Estimate)
    assert isinstance(pooled, Estimate)
    assert within.value == 0.5
    # No answer of a domain stands apart from the others, so resampling could find nothing.
    assert np.isnan([within.low, within.high]).all()
    assert pooled.low < pooled.value < pooled.high


def test_a_rival_that_could_not_be_measured_is_named() -> None:
    found = measure_rivals(READOUTS, {LENGTH: np.arange(80.0)}, Bootstrap(100, 0))
    rows = rival_rows(found)
    assert [row["read from"] for row in rows] == [name.replace("_", " ") for name in RIVALS]
    by_name = {row["read from"]: row for row in rows}
    assert "embeddings" in by_name["question text"]["AUROC2"]
    assert all(by_name["answer length"][head] for head in PROBE_MINUS)
    assert rival_rows({}) == []
