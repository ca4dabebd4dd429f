from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.experiments.accuracy_directions.directions import (
    DirectionPlan,
    directions_stage,
    estimates_of,
)
from workbench.experiments.accuracy_directions.reasoned import read_reasoned
from workbench.experiments.accuracy_directions.run import (
    DirectionParameters,
    page_of,
    run_accuracy_directions,
)
from workbench.experiments.accuracy_directions.steering import (
    ADAPTIVE,
    BASE,
    STEERED,
    ConfidenceAxis,
    steering_stage,
)
from workbench.experiments.text_bottleneck.conditions import BEFORE
from workbench.experiments.text_bottleneck.read import AT_CONFIDENCE, split_of, vectors_at
from workbench.loop import open_run
from workbench.loop.confidence import confidence_conversations
from workbench.mechanisms.works.accuracy_directions import WORK
from workbench.patch.steering import Push, steer
from workbench.pipeline.stage_store import StageStore
from workbench.report import write_page

FEW = DirectionParameters(
    reasoned="none",
    halvings=2,
    blocks=4,
    chosen_on=8,
    steered=12,
    strengths=(1.0, 4.0),
    random=2,
)


def steered(folder: Path, condition: str = "before") -> pd.DataFrame:
    return StageStore(folder / steering_stage(condition), "").table(STEERED)


def test_it_compares_steers_and_seals_a_record_a_condition(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = tmp_path / "figures" / "tiny"
    first = run_accuracy_directions(None, place, FEW, figures=figures)
    base, taught = first.records
    assert (base.condition, taught.condition) == ("base", "taught")
    assert base.reasons["reading_lost"] == "no run that reasons was named"
    assert base.estimates["reliability_accuracy"].value > 0.5
    assert -1 <= base.estimates["corrected"].value <= 1
    assert base.estimates["random"].low < 0 < base.estimates["random"].high
    run = open_run(place, figures)
    table = steered(place)
    assert table.groupby("arm")["row"].nunique().eq(12).all()
    rows = table.loc[table["arm"] == BASE, "row"].to_numpy()
    questions = run.stage("questions").table("questions")
    assert set(questions["split"][rows]) == {"test"}
    kept = run.stage("elicit").table("confidence").set_index("row")["expected"]
    unsteered = table.loc[table["arm"] == BASE, "expected"].to_numpy()
    np.testing.assert_allclose(unsteered, kept.loc[rows.tolist()], atol=1e-4)
    right = run.stage("answer").table("answers")["correct"][rows].to_numpy(dtype=bool)
    assert base.estimates["brier_base"].value == pytest.approx(np.mean((unsteered - right) ** 2))
    assert set(base.outcomes(WORK)) == {"orthogonal", "contamination", "steering"}
    monkeypatch.setattr("workbench.experiments.accuracy_directions.steering.read_written", None)
    again = run_accuracy_directions(None, place, FEW, figures=figures)
    assert [each.to_json() for each in again.records] == [each.to_json() for each in first.records]
    assert write_page(page_of(again), figures / "accuracy_directions").exists()


def test_each_question_is_pushed_as_far_as_its_own_probe_asks(place: Path, tmp_path: Path) -> None:
    """The packed pushes are those of one question alone, by the plain steering of the room."""
    figures = tmp_path / "figures"
    run_accuracy_directions(None, place, FEW.replace({"teaching": False}), figures=figures)
    run = open_run(place, figures)
    facts = StageStore(place / steering_stage("before"), "").facts()
    readings = StageStore(place / "directions_before", "").table("readings").set_index("row")
    table = steered(place)
    row = int(table["row"].iloc[0])
    split = split_of(run)
    known = vectors_at(run, BEFORE, AT_CONFIDENCE).of(split.train)[:, facts["layer"]]
    said = readings["expected"].loc[split.train.tolist()].to_numpy()
    axis = ConfidenceAxis(
        np.asarray(known, dtype=np.float64), said, split.questions.training_domain
    )
    gap = readings["probability"][row] - readings["expected"][row]
    vector = torch.as_tensor(axis.push(np.array([facts["strength"] * gap]))[0], dtype=torch.float32)
    trie = run.scale_tokens.trie
    found = steer(
        run.lm,
        [confidence_conversations(run)[row].tokens],
        trie,
        [Push(facts["layer"], vector)],
        tokens_per_forward=2048,
    )
    values = np.asarray(run.fmt.scale.values) / run.fmt.scale.certain
    p = found.distribution[0, 1]
    alone = float(p @ values / p.sum())
    mine = table[(table["row"] == row) & (table["arm"] == ADAPTIVE)]["expected"].item()
    assert mine == pytest.approx(alone, abs=1e-4)


def test_reasoning_that_changes_nothing_and_reasoning_that_loses_all(
    place: Path, tmp_path: Path
) -> None:
    """The run itself in place of one that reasons, and one whose confidences were shuffled."""
    figures = tmp_path / "figures"
    run_accuracy_directions(None, place, FEW.replace({"teaching": False}), figures=figures)
    plan, found = DirectionPlan(4, 5), []
    copy = Path(shutil.copytree(place, tmp_path / "runs" / "copy"))
    run, other = open_run(place, figures), open_run(copy, figures)
    directions = directions_stage("before")
    for each in (run, other):
        each.keys[directions] = each.store.stage(directions, "").facts()["key"]
    for name in ("same", "shuffled"):
        stage = StageStore(tmp_path / name, "key")
        stage.begin()
        read_reasoned(run, stage, reasoned=other, plan=plan)
        found.append(estimates_of(pd.read_parquet(tmp_path / name / "quantities.parquet")))
        said = other.stage("elicit")
        table = said.table("confidence")
        table["expected"] = np.random.default_rng(0).permutation(table["expected"])
        said.save_table("confidence", table)
        said.amend("confidence.parquet")
    same, shuffled = found
    assert same["formats_corrected"].value == pytest.approx(1, abs=1e-6)
    assert same["reading_lost"].value == 0
    assert same["reasoned_minus_direct"].value == 0
    assert abs(shuffled["read_reasoned"].value) < 0.4
    assert shuffled["reading_lost"].low > 0
    gap = shuffled["brier_reasoned"].value - shuffled["brier_direct"].value
    assert shuffled["reasoned_minus_direct"].value == pytest.approx(gap)


def test_what_is_refused(place: Path, tmp_path: Path) -> None:
    for named, said in (
        ("percent", "neither a run in .* nor a format with reasoning"),
        ("nobody", "neither a run in"),
        ("tiny", "does not reason before it answers"),
    ):
        with pytest.raises(WorkbenchError, match=said):
            run_accuracy_directions(
                None,
                place,
                FEW.replace({"teaching": False, "reasoned": named}),
                figures=tmp_path / "figures",
            )
