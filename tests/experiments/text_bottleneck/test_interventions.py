from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.bottleneck.rank_one_map import Strength, candidates, standardise
from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.condition_model import NONE, PROBE, ConditionModel
from workbench.experiments.text_bottleneck.conditions import BEFORE, conditions_of
from workbench.experiments.text_bottleneck.intervention_page import (
    intervention_sections,
    intervention_tables,
    map_rows,
)
from workbench.experiments.text_bottleneck.intervention_results import (
    EXPECTED,
    WRITTEN,
    Interventions,
)
from workbench.experiments.text_bottleneck.interventions import (
    DIRECTIONS,
    DRAWN,
    LEFT,
    MAP,
    MAPPED,
    OTHER,
    PUSHED,
    PUSHES,
    RANDOM,
    REMOVED,
    SWAPPED,
    WHOLE,
    InterventionPlan,
    intervention_stage,
)
from workbench.experiments.text_bottleneck.read import PROBES, split_of, steps_stage
from workbench.experiments.text_bottleneck.run import BottleneckParameters, run_bottleneck
from workbench.loop import open_run
from workbench.loop.run import Run
from workbench.measure import auroc2_within
from workbench.pipeline.store import ROW, StageStore


def of(table: pd.DataFrame, **change: object) -> pd.DataFrame:
    """The rows of the changes that have these attributes."""
    chosen = np.ones(len(table), dtype=bool)
    for name, value in change.items():
        chosen &= (table[name] == value).to_numpy()
    return table[chosen]


@pytest.fixture(scope="module")
def place(followed_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(followed_run, tmp_path_factory.mktemp("copy") / "run"))


@pytest.fixture(scope="module")
def found(place: Path) -> Interventions:
    alone = BottleneckParameters(lens=False, geometry=False, ceiling=False, teaching=False)
    results = run_bottleneck(None, place, alone, figures=place.parent / "figures")
    assert results.conditions[0].interventions is not None
    return results.conditions[0].interventions


@pytest.fixture(scope="module")
def run(place: Path, found: Interventions) -> Run:
    run = open_run(place, place.parent / "figures")
    for stage in (steps_stage("before"), intervention_stage("before")):
        run.keys[stage] = run.store.stage(stage, "").facts()["key"]
    return run


@pytest.fixture(scope="module")
def stage(run: Run) -> StageStore:
    return run.stage(intervention_stage("before"))


def test_without_a_change_the_model_says_what_it_said_in_the_run(
    run: Run, stage: StageStore
) -> None:
    said = run.stage("elicit").table("confidence").set_index(ROW)
    for name in (DIRECTIONS, MAP, PUSHES):
        table = of(stage.table(name), kind=NONE).set_index(ROW)
        assert table.index.is_unique
        there = said.loc[table.index]
        np.testing.assert_allclose(table[EXPECTED], there["expected"], atol=1e-4)


def test_the_whole_state_of_the_last_layer_says_what_the_other_question_says(
    stage: StageStore, found: Interventions
) -> None:
    table = stage.table(DIRECTIONS)
    base = of(table, kind=NONE).set_index(ROW)
    last = of(table, kind=SWAPPED, direction=WHOLE, layer=found.layers[-1])
    assert (last["partner"] != last[ROW]).all()
    for name in (EXPECTED, WRITTEN):
        np.testing.assert_allclose(
            last[name], base[name].loc[last["partner"].tolist()], atol=1e-4, equal_nan=True
        )
    whole = next(each for each in found.swaps if each.direction == WHOLE)
    assert whole.followed.value[-1] == pytest.approx(1, abs=1e-3)


def test_every_change_has_its_controls(stage: StageStore, found: Interventions) -> None:
    plan = InterventionPlan()
    table = stage.table(DIRECTIONS)
    for kind, directions in ((REMOVED, {*DRAWN, RANDOM}), (SWAPPED, {*DRAWN, RANDOM, WHOLE})):
        mine = of(table, kind=kind)
        assert set(mine["direction"]) == directions
        assert set(mine["layer"]) == set(found.layers)
        assert set(of(mine, direction=RANDOM)["number"]) == set(range(len(DRAWN)))
    pushed = of(stage.table(PUSHES), kind=PUSHED)
    assert set(pushed["length"]) == set(plan.lengths)
    assert set(pushed["direction"]) == {PROBE, RANDOM}
    assert len(found.mapped.random) == plan.random
    assert (found.patched, found.pushed) == (
        len(table[ROW].unique()),
        len(stage.table(PUSHES)[ROW].unique()),
    )
    # A direction's removal does something: the tiny model is not blind to its states.
    moved = of(table, kind=REMOVED, direction=PROBE).groupby("layer")[EXPECTED]
    assert (moved.std() > 0).all()


def test_removal_and_push_are_those_of_plain_hooks(run: Run, stage: StageStore) -> None:
    """One question at one layer, by forward hooks on the model and nothing else."""
    lm, trie = run.lm, run.scale_tokens.trie
    model = ConditionModel(run, lm, BEFORE, InterventionPlan().layers_of(lm.n_layers))
    layer = model.layers[0]
    row = int(stage.table(PUSHES)[ROW].iloc[0])
    prompt = list(model.conversations(np.array([row]))[0].tokens)
    states, weights = model.states[:, 0].astype(np.float64), model.weights[PROBE][0]
    centred = states - states.mean(axis=0)
    reading = centred @ weights
    step = torch.as_tensor(centred.T @ reading / len(states) / reading.std()).float()

    def hook(module: object, args: object, output: torch.Tensor) -> torch.Tensor:
        changed = output.clone()
        changed[:, len(prompt) - 1 :] += 2.0 * step
        return changed

    scores = []
    for path in trie.inner:
        handle = lm.layers()[layer].register_forward_hook(hook)
        try:
            with torch.no_grad():
                logits = lm.base()(input_ids=torch.tensor([[*prompt, *path]])).logits[0, -1]
        finally:
            handle.remove()
        scores.append(logits.double().log_softmax(dim=-1)[list(trie.tokens)])
    p = trie.distribution(torch.stack(scores)[None])[0]
    expected = p @ np.asarray(trie.values) / run.fmt.scale.certain / p.sum()
    table = stage.table(PUSHES)
    kept = table[(table[ROW] == row) & (table["layer"] == layer) & (table["length"] == 2.0)]
    assert of(kept, direction=PROBE)[EXPECTED].item() == pytest.approx(expected, abs=2e-4)


def test_the_map_is_chosen_on_training_questions_alone(run: Run, stage: StageStore) -> None:
    split, facts = split_of(run), stage.facts()
    table = stage.table(MAP)
    assert set(table[ROW]) == set(split.test)
    chosen = Strength(**facts["map"])
    lm = run.lm
    model = ConditionModel(run, lm, BEFORE, InterventionPlan().layers_of(lm.n_layers))
    tried = candidates(model.layers, 1.0)
    assert chosen.strength in {each.strength for each in tried}
    at = model.layers.index(chosen.layer)
    scale = standardise(model.out_of_fold[:, at])
    own = table[(table["kind"] == MAPPED) & (table["direction"] == PROBE)].set_index(ROW)
    np.testing.assert_allclose(
        own["z"].loc[split.test.tolist()], scale.z(model.held_out[:, at]), atol=1e-5
    )
    other = table[(table["kind"] == MAPPED) & (table["direction"] == OTHER)].set_index(ROW)
    assert not np.allclose(other["other"], other["z"])
    assert sorted(other["other"]) == pytest.approx(sorted(other["z"]))
    weights = run.stage(steps_stage("before")).tensors(PROBES)["weights"]
    np.testing.assert_array_equal(model.weights[PROBE], weights[model.layers])


def test_measures_are_of_the_tables(run: Run, stage: StageStore, found: Interventions) -> None:
    split = split_of(run)
    grades = pd.Series(split.questions.correct, index=split.test)
    domains = pd.Series(split.questions.domain, index=split.test)
    table = stage.table(DIRECTIONS)
    for each in (found.removals[0], found.removals[-1]):
        mine = table[
            (table["kind"] == REMOVED)
            & (table["layer"] == each.layer)
            & (table["direction"] == each.direction)
            & (table["number"] == each.number)
        ]
        rows = mine[ROW].tolist()
        within = auroc2_within(
            mine[EXPECTED].to_numpy(), grades.loc[rows].to_numpy(), domains.loc[rows].to_numpy()
        )
        assert each.within[EXPECTED].value == pytest.approx(within, nan_ok=True)
        lost = found.said[EXPECTED].value - within
        assert each.lost[EXPECTED].value == pytest.approx(lost, nan_ok=True)
    assert set(found.left) == {*DRAWN}
    for name, left in stage.tensors(LEFT).items():
        assert (
            left.shape
            == (len(split.test), len(found.left[name]))
            == (len(split.test), len(found.layers))
        )


def test_the_page_shows_every_change(found: Interventions) -> None:
    by_name = {conditions_of(teaching=False, curriculum=False)[0].label: found}
    sections = intervention_sections(by_name, "some questions")
    assert [each.name for each in sections] == ["removed", "swapped", "pushed"]
    tables = intervention_tables(by_name)
    assert len(tables["removed.csv"]) == 2 * len(found.removals)
    assert len(tables["pushed.csv"]) == len(found.pushes)
    assert len(tables["swapped.csv"]) == len(found.swaps) * len(found.layers)
    assert map_rows(by_name)[0]["after layer"] == str(found.mapped.chosen.layer)
    assert intervention_tables({}) == {}


def test_layers_are_two_thirds_up_and_the_last_or_those_named() -> None:
    assert InterventionPlan().layers_of(30) == [19, 29]
    assert InterventionPlan().layers_of(2) == [1]
    assert InterventionPlan((4, 0)).layers_of(5) == [0, 4]
    with pytest.raises(WorkbenchError, match="names layer 5, but the model's layers are 0 to 4"):
        InterventionPlan((5,)).layers_of(5)
