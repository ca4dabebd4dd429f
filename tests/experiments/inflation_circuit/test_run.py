from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.bottleneck.ceiling_writers import GRADIENT
from workbench.errors import WorkbenchError
from workbench.experiments.inflation_circuit.read import (
    ATTRIBUTED,
    CHOSEN,
    HELD_OUT,
    NOTHING,
    POOL,
    RANDOM,
    SETS,
    TRAINED,
    WRITERS,
    WRONG,
    choose_sets,
    compact_size,
    inflation_stage,
    sets_of,
)
from workbench.experiments.inflation_circuit.run import (
    InflationParameters,
    page_of,
    run_inflation_circuit,
)
from workbench.loop import open_run
from workbench.mechanisms.record import read_records
from workbench.mechanisms.works.inflation_circuit import WORK
from workbench.mechanisms.works.inflation_measures import BRIER_OWN, INFLATION, REMOVED
from workbench.report import write_page
from workbench.trace.sites import Site

FEW = InflationParameters(attributed=6, wrong=6, corrected=12)


def test_it_reads_once_and_seals_a_record_a_condition(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = tmp_path / "figures" / "tiny"
    first = run_inflation_circuit(None, place, FEW, figures=figures)
    base, taught = first.records
    assert (base.condition, taught.condition) == ("base", "taught")
    run = open_run(place, figures)
    questions = run.stage("questions").table("questions")
    correct = run.stage("answer").table("answers")["correct"].to_numpy(dtype=bool)
    stage = run.store.stage(inflation_stage("before"), "")
    rows = {name: stage.table(name)["row"].to_numpy() for name in (ATTRIBUTED, WRONG, TRAINED)}
    assert not correct[rows[ATTRIBUTED]].any()
    assert not correct[rows[WRONG]].any()
    assert set(questions["split"][rows[WRONG]]) == {"test"}
    assert set(questions["split"][rows[ATTRIBUTED]]) == {"train"}
    assert not np.isin(rows[ATTRIBUTED], rows[TRAINED]).any()
    train = np.flatnonzero(questions["split"] == "train")
    train = np.random.default_rng(run.config.seed).permutation(train)
    begin = min(POOL, len(train) // 3)
    np.testing.assert_array_equal(rows[TRAINED], np.sort(train[begin : begin + 12]))
    sets = sets_of(stage.table(SETS))
    writers = len(stage.table(WRITERS))
    assert stage.tensors(ATTRIBUTED)[GRADIENT].shape == (6, writers)
    assert stage.tensors(WRONG)["distribution"].shape[:2] == (6, 1 + len(sets))
    chosen = [one for one in sets if one.role == CHOSEN]
    assert stage.tensors(HELD_OUT)["distribution"].shape[1] == 1 + len(chosen)
    kept = run.stage("elicit")
    expected = kept.table("confidence").set_index("row")["expected"]
    own = expected.loc[rows[WRONG].tolist()].to_numpy()
    accuracy = correct[questions["split"].to_numpy() == "train"].mean()
    assert base.estimates[INFLATION].value == pytest.approx((own - accuracy).mean(), abs=2e-3)
    assert base.facts["accuracy"] == pytest.approx(accuracy)
    if REMOVED not in base.estimates:
        assert "no inflation" in base.reasons[REMOVED]
    held = stage.table(HELD_OUT)["row"].to_numpy()
    brier = ((expected.loc[held.tolist()].to_numpy() - correct[held]) ** 2).mean()
    assert base.estimates[BRIER_OWN].value == pytest.approx(brier, abs=2e-3)
    assert len(read_records(place)) == 2
    monkeypatch.setattr("workbench.experiments.inflation_circuit.read.first_orders", None)
    again = run_inflation_circuit(None, place, FEW, figures=figures)
    assert [r.to_json() for r in again.records] == [r.to_json() for r in first.records]
    index = write_page(page_of(again), figures / "inflation_circuit")
    assert WORK.title in index.read_text()


def test_a_correction_of_one_kind_of_answer_ends_before_any_forward(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first 12 of any rows count as wrong: all of the correction's."""
    read = "workbench.experiments.inflation_circuit.read"
    monkeypatch.setattr(f"{read}.right_answers", lambda run, rows: np.arange(len(rows)) >= 12)
    monkeypatch.setattr(f"{read}.model_in", None)
    with pytest.raises(WorkbenchError, match="12 training questions of the correction"):
        run_inflation_circuit(None, place, FEW, figures=tmp_path / "figures" / "tiny")


def test_sets_are_the_largest_and_what_is_left_of_them() -> None:
    """40 writers: at most 2 are compact."""
    writers = [Site(1 + at // 10, "head_out", at % 10) for at in range(40)]
    scores = np.zeros((3, 40))
    scores[:, [7, 22, 31]] = [3.0, 2.0, 1.0]
    assert compact_size(40) == 2
    sets = choose_sets(writers, scores, np.random.default_rng(0))
    chosen = {one.size: one.writers for one in sets if one.role == CHOSEN}
    assert chosen[1] == (7,)
    assert chosen[2] == (7, 22)
    assert set(chosen) == {1, 2, 4, 8, 16, 32}
    alone = {one.size: one.writers for one in sets if one.role == "alone"}
    assert sorted((*alone[2], *chosen[2])) == list(range(40))
    (nothing,) = [one for one in sets if one.role == NOTHING]
    assert nothing.writers == tuple(range(40))
    for role in ("like", "anywhere"):
        drawn = [one for one in sets if one.role == role]
        assert len(drawn) == RANDOM
        assert all(len(set(one.writers)) == 2 for one in drawn)
    assert all(not set(one.writers) & set(chosen[2]) for one in sets if one.role == "like")
