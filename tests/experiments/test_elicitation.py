from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.elicit.answer import Limits
from workbench.elicit.ask import ask_texts
from workbench.elicit.formats import FORMATS
from workbench.experiments.elicitation import (
    compare_questions,
    elicit_questions,
    page_of,
    pair_summary,
    run_elicitation,
    summary_of,
)
from workbench.loading import load_model
from workbench.measure import auroc2, ece
from workbench.questions import grade, read_questions
from workbench.report import write_page

LIMITS = Limits(answer=6)


def test_answers_are_graded_and_named(loop_inputs: Any) -> None:
    lm = load_model(str(loop_inputs.model), device="cpu")
    questions = read_questions(loop_inputs.questions)[:24]
    table = elicit_questions(lm, questions, FORMATS["percent"], limits=LIMITS)
    texts = [question.text for question in questions]
    plain = ask_texts(lm, texts, FORMATS["percent"], limits=LIMITS).table.drop(columns="correct")
    pd.testing.assert_frame_equal(table[plain.columns], plain)
    assert list(table["id"]) == [question.id for question in questions]
    assert list(table["domain"]) == [question.domain for question in questions]
    assert list(table["correct"]) == [
        grade(a, q) for a, q in zip(table["answer"], questions, strict=True)
    ]
    assert 0 < table["correct"].mean() < 1
    found = summary_of(table, seed=0, resamples=100)
    parsed = table[table["stated"].notna()]
    assert found["n"] == 24
    assert found["accuracy"] == table["correct"].mean()
    assert found["parse_rate"] == pytest.approx(len(parsed) / 24)
    assert found["mass"] == pytest.approx(table["mass"].mean())
    for readout, rows in (("stated", parsed), ("expected", table)):
        assert found[f"auroc2.{readout}"] == pytest.approx(
            auroc2(rows[readout], rows["correct"]), nan_ok=True
        )
        assert found[f"ece.{readout}"] == pytest.approx(ece(rows[readout], rows["correct"]))
        assert found[f"ece.{readout}.low"] <= found[f"ece.{readout}.high"]


def test_pairs_are_graded_by_answers_given_apart(loop_inputs: Any) -> None:
    lm = load_model(str(loop_inputs.model), device="cpu")
    questions = read_questions(loop_inputs.questions)[:12]
    table = compare_questions(lm, questions, FORMATS["pairwise"], seed=1, limits=LIMITS)
    alone = elicit_questions(lm, questions, FORMATS["percent"], limits=LIMITS)
    assert len(table) == 12
    for place in (1, 2):
        rows = table[f"q{place}"]
        assert list(table[f"id_{place}"]) == list(alone["id"][rows])
        assert list(table[f"correct_{place}"]) == list(alone["correct"][rows])


def test_pairs_are_summed_up_by_hand() -> None:
    table = pd.DataFrame(
        {
            "p_first": [0.9, 0.6, 0.8, 0.5],
            "p_first_swapped": [0.7, 0.2, 0.9, 0.5],
            "combined": [0.8, 0.4, 0.85, 0.5],
            "consistent": [True, False, True, False],
            "mass": [1.0, 0.8, 0.6, 0.4],
            "mass_swapped": [0.2] * 4,
            "chose_first": [1.0, np.nan, 1.0, 0.0],
            "chose_first_swapped": [1.0, 0.0, np.nan, np.nan],
            "correct_1": [True, True, True, False],
            "correct_2": [False, False, True, True],
        }
    )
    found = pair_summary(table)
    assert found["n"] == 4
    assert found["parse_rate"] == 5 / 8
    assert found["mass"] == pytest.approx((2.8 + 0.8) / 8)
    assert found["first_place"] == pytest.approx((2.8 + 4 - 2.3) / 8)
    assert found["swap_consistency"] == 0.5
    assert found["mixed_pairs"] == 3
    assert found["agreement"] == pytest.approx(1.5 / 3)
    assert found["agreement.low"] < 0.5 < found["agreement.high"]
    assert "agreement" not in pair_summary(table[2:3])


def test_a_readout_that_was_never_parsed_is_unknown() -> None:
    table = pd.DataFrame(
        {
            "correct": [True, False] * 6,
            "mass": [0.1] * 12,
            "stated": [np.nan] * 12,
            "expected": np.linspace(0.1, 0.9, 12),
        }
    )
    found = summary_of(table, seed=0, resamples=100)
    assert found["parse_rate"] == 0
    assert np.isnan(found["auroc2.stated"])
    assert not np.isnan(found["auroc2.expected"])


@pytest.mark.parametrize(("name", "key"), [("percent", "auroc2.stated"), ("pairwise", "agreement")])
def test_as_an_experiment_it_asks_once_and_its_page_has_the_table(
    loop_inputs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, key: str
) -> None:
    whole = loop_inputs.config.model_dump()
    whole["questions"]["limit"], whole["elicit"]["format"] = 12, name
    config = type(loop_inputs.config).model_validate(whole)
    found = run_elicitation(config, tmp_path / "run")
    assert len(found.table) == found.summary["n"] == 12
    assert key in found.summary or not found.summary["mixed_pairs"]
    monkeypatch.setattr("workbench.experiments.elicitation.elicit_questions", None)
    again = run_elicitation(config, tmp_path / "run")
    pd.testing.assert_frame_equal(again.table, found.table)
    index = write_page(page_of(again), tmp_path / "page")
    assert len(pd.read_csv(index.parent / "elicitation.csv")) == 12
