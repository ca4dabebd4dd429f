from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.elicit.ask import GivenAnswer
from workbench.elicit.choices import ask_choice
from workbench.elicit.formats import format_named
from workbench.errors import WorkbenchError
from workbench.experiments.commitment.offered import OFFERED
from workbench.experiments.commitment.offered import STAGE as OFFERS
from workbench.experiments.commitment.pushes import (
    CONFIDENCE,
    CORRECTNESS,
    PUSHED,
    make_directions,
    training_states,
)
from workbench.experiments.commitment.pushes import STAGE as PUSHES
from workbench.experiments.commitment.run import CommitmentParameters, page_of, run_commitment
from workbench.loop import open_run
from workbench.loop.answers import given_answers
from workbench.loop.questions import load_questions
from workbench.mechanisms.record import MechanismRecord, read_records
from workbench.mechanisms.works.commitment import WORK
from workbench.pipeline.stage_store import StageStore
from workbench.questions import prompt_text
from workbench.report import write_page

FEW = CommitmentParameters(training=40, pushed=8, random=1, lengths=(0.5, 1.0))


@pytest.fixture
def place(finished_run: Any, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished_run.folder, tmp_path / "runs" / "tiny"))


def in_json(records: Sequence[MechanismRecord]) -> list[dict[str, Any]]:
    """NaN is null there, so that records compare."""
    return [record.to_json() for record in records]


def kept(folder: Path, stage: str, table: str) -> pd.DataFrame:
    return StageStore(folder / stage, "").table(table)


def test_it_offers_and_pushes_once_and_seals_a_record_a_condition(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = tmp_path / "figures" / "tiny"
    first = run_commitment(None, place, FEW, figures=figures)
    base, taught = first.records
    assert (base.condition, taught.condition) == ("base", "taught")
    assert in_json(read_records(place)) == in_json(first.records)
    assert "adapter acts on replies" in taught.reasons["steer_confidence"]
    assert base.estimates["steer_nothing"].value == pytest.approx(0, abs=1e-4)
    offered = kept(place, OFFERS, OFFERED)
    run = open_run(place, figures)
    questions, texts = load_questions(run)
    assert set(offered["split"]) == {"train", "test"}
    assert (questions["split"].to_numpy()[offered["row"]] == offered["split"]).all()

    # The choice is that of the questions asked anew, and no adapter is left on for it.
    rows = offered["row"].to_numpy()[:3]
    said = given_answers(run)
    anew = ask_choice(
        run.lm,
        [prompt_text(texts[row]) for row in rows],
        format_named("pass-after"),
        [GivenAnswer(said[row].answer) for row in rows],
    ).table
    assert offered["shown"][:3].to_numpy() == pytest.approx(anew["p_commit_shown"], abs=1e-4)
    assert offered["swapped"][:3].to_numpy() == pytest.approx(anew["p_commit_swapped"], abs=1e-4)
    assert (offered["shown"] != offered["shown_taught"]).any()

    pushed = kept(place, PUSHES, PUSHED)
    assert set(pushed["row"]) <= set(offered[offered["split"] == "test"]["row"])
    still = pushed[pushed["direction"] == "none"].set_index("row")["p_commit"]
    shown = offered.set_index("row")["shown"].loc[still.index]
    assert still.to_numpy() == pytest.approx(shown.to_numpy(), abs=1e-4)
    own = pushed[pushed["direction"] == CONFIDENCE]
    assert sorted(set(own["length"])) == [-1.0, -0.5, 0.5, 1.0]
    dose = own.pivot(index="row", columns="length", values="log_odds")
    assert base.estimates["steer_confidence"].value == pytest.approx(
        (dose[1.0] - dose[-1.0]).mean()
    )

    monkeypatch.setattr("workbench.experiments.commitment.offered.ask_choice", None)
    monkeypatch.setattr("workbench.experiments.commitment.pushes.read_written", None)
    again = run_commitment(None, place, FEW, figures=figures)
    assert in_json(again.records) == in_json(first.records)
    index = write_page(page_of(again), figures / "commitment")
    assert "about orthogonal" in index.read_text()


def test_directions_are_of_training_questions_and_point_to_more(place: Path) -> None:
    run = open_run(place, place.parent / "figures")
    questions, _ = load_questions(run)
    rows = np.flatnonzero(questions["split"] == "train")
    training = training_states(run, rows, 1)
    found = make_directions(training, 2, 0)
    assert len(found) == 2 + 2 * 2
    for unit in found.values():
        assert np.linalg.norm(unit) == pytest.approx(1)
    centred = training.states - np.stack(
        [training.states[training.codes == code].mean(axis=0) for code in training.codes]
    )
    right = training.right - np.array(
        [training.right[training.codes == code].mean() for code in training.codes]
    )
    assert float((centred @ found[CORRECTNESS]) @ right) > 0


def test_a_run_whose_adapter_acts_on_conversations_is_asked_with_it(
    conversation_run: Any, tmp_path: Path
) -> None:
    place = Path(shutil.copytree(conversation_run.folder, tmp_path / "runs" / "tiny"))
    found = run_commitment(None, place, FEW, figures=tmp_path / "figures")
    offered = kept(place, OFFERS, OFFERED)
    assert (offered["shown"] != offered["shown_taught"]).any()
    assert set(found.records[1].outcomes(WORK)) == {claim.name for claim in WORK.claims}
    assert "of the base model alone" in found.records[1].reasons["cosine"]


def test_answers_of_a_file_are_refused_before_anything_is_asked(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = StageStore.table

    def table(store: StageStore, name: str) -> pd.DataFrame:
        found = read(store, name)
        return found.drop(columns="log_probability") if name == "answers" else found

    monkeypatch.setattr(StageStore, "table", table)
    monkeypatch.setattr("workbench.experiments.commitment.offered.ask_choice", None)
    with pytest.raises(WorkbenchError, match="have no likelihood"):
        run_commitment(None, place, FEW, figures=tmp_path / "figures")


def test_a_run_that_thinks_is_refused(place: Path, tmp_path: Path) -> None:
    from workbench.experiments.commitment.offered import offer_of

    run = open_run(place, tmp_path / "figures")
    thinking = run.config.elicit.model_copy(update={"thinking": "on"})
    other = run.sibling(
        run.config.model_copy(update={"elicit": thinking}), place, tmp_path / "figures"
    )
    with pytest.raises(WorkbenchError, match="cannot be measured on a model that thinks"):
        offer_of(other, "pass")
