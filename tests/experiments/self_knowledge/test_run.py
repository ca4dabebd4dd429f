from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.self_knowledge.other_model import shared_questions
from workbench.experiments.self_knowledge.run import (
    SelfKnowledgeParameters,
    page_of,
    run_self_knowledge,
)
from workbench.experiments.self_knowledge.scores import PAIR, SCORES, STAGE
from workbench.loop import open_run
from workbench.loop.states import question_end_states
from workbench.measure.delong import delong_within
from workbench.mechanisms.outcomes import CONFIRMED
from workbench.mechanisms.record import MechanismRecord, read_records
from workbench.mechanisms.works.self_knowledge import WORK
from workbench.pipeline.stage_store import StageStore
from workbench.report import write_page

ALONE = SelfKnowledgeParameters(teaching=False)


def in_json(records: Sequence[MechanismRecord]) -> list[dict[str, Any]]:
    """NaN is null there, so that records compare."""
    return [record.to_json() for record in records]


def kept(folder: Path, table: str) -> pd.DataFrame:
    return StageStore(folder / STAGE, "").table(table)


def test_it_scores_once_and_seals_a_record_a_condition(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One word of a tiny run's question decides the grade: states and text must find it."""
    figures = tmp_path / "figures" / "tiny"
    first = run_self_knowledge(None, place, SelfKnowledgeParameters(), figures=figures)
    base, taught = first.records
    assert (base.condition, taught.condition) == ("base", "taught")
    assert base.outcomes(WORK)["question_alone"] == CONFIRMED
    assert base.estimates["question_end"] == taught.estimates["question_end"]
    assert base.estimates["question_end"].value > 0.9
    assert base.estimates["tfidf"].value > 0.9
    assert 0.3 < base.estimates["shuffled"].value < 0.7
    assert "no other model" in base.reasons["self_minus_other"]
    assert in_json(read_records(place)) == in_json(first.records)
    run = open_run(place, figures)
    questions = run.stage("questions").table("questions")
    correct = run.stage("answer").table("answers")["correct"].to_numpy(dtype=bool)
    scores = kept(place, SCORES)
    rows = scores["row"].to_numpy()
    assert set(questions["split"][rows]) == {"test"}
    by_hand = delong_within(
        scores["scalars"], correct[rows], questions["domain"].to_numpy(dtype=str)[rows]
    )
    assert base.estimates["scalars"] == by_hand
    monkeypatch.setattr("workbench.experiments.self_knowledge.scores.score_texts", None)
    again = run_self_knowledge(None, place, SelfKnowledgeParameters(), figures=figures)
    assert in_json(again.records) == in_json(first.records)
    index = write_page(page_of(again), figures / "self_knowledge")
    assert "confirmed" in index.read_text()


def test_a_model_beside_itself_has_no_privilege(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place, place.parent / "copy")
    with_copy = ALONE.replace({"other": "copy"})
    found = run_self_knowledge(None, place, with_copy, figures=tmp_path / "figures")
    (record,) = found.records
    pair = kept(place, PAIR)
    np.testing.assert_array_equal(pair["own"], pair["other"])
    np.testing.assert_array_equal(pair["own"], kept(place, SCORES)["question_end"])
    assert record.estimates["self_minus_other"].value == 0
    assert record.estimates["disagreements"].value == 0
    assert "nearly all of one kind" in record.reasons["self_minus_other_disagreement"]
    assert record.facts["other"] == "copy"
    assert set(found.layers["model"]) == {"own", "copy"}


def test_questions_are_matched_by_number_and_wording(place: Path, tmp_path: Path) -> None:
    """The other run has some of the questions, in another order."""
    run = open_run(place, tmp_path / "figures")
    other = open_run(Path(shutil.copytree(place, place.parent / "copy")), tmp_path / "figures")
    questions = run.stage("questions").table("questions")
    answers = run.stage("answer").table("answers")["correct"].to_numpy(dtype=bool)
    order = np.random.default_rng(0).permutation(len(questions))[:120]
    tables = {
        "questions": questions.iloc[order].assign(row=np.arange(120)),
        "answers": pd.DataFrame({"row": np.arange(120), "correct": answers[order]}),
    }
    for name, stage in (("questions", "questions"), ("answers", "answer")):
        store = other.stage(stage)
        tables[name].to_parquet(store.folder / f"{name}.parquet", index=False)
        store.amend(f"{name}.parquet")
    found = shared_questions(run, other)
    np.testing.assert_array_equal(found.rows, np.sort(order))
    np.testing.assert_array_equal(found.correct, answers[np.sort(order)])
    theirs = question_end_states(other.stage("elicit"))
    assert theirs is not None
    np.testing.assert_array_equal(np.asarray(found.states), theirs[np.argsort(order)])


def test_what_is_refused(place: Path, tmp_path: Path) -> None:
    for other, said in (
        ("tiny", "other names the run itself"),
        ("nobody", "There is no run 'nobody'"),
    ):
        with pytest.raises(WorkbenchError, match=said):
            run_self_knowledge(
                None, place, ALONE.replace({"other": other}), figures=tmp_path / "figures"
            )
