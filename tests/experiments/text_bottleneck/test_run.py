from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.bottleneck.jacobian_lens import load_jacobian_lens
from workbench.bottleneck.readings import read_best
from workbench.bottleneck.tuned_lens import load_tuned_lens
from workbench.elicit.readout import expected_confidence
from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.conditions import AFTER, BEFORE, CONTROL
from workbench.experiments.text_bottleneck.lens import LENSES, lens_file, lens_stage
from workbench.experiments.text_bottleneck.lens_inputs import lens_inputs
from workbench.experiments.text_bottleneck.page import page_of
from workbench.experiments.text_bottleneck.read import (
    AT_CONFIDENCE,
    DISTRIBUTION,
    HAVING_ANSWERED,
    STEPS,
    TEXT,
    distributions,
    split_of,
    steps_of,
    steps_stage,
)
from workbench.experiments.text_bottleneck.results import LOW_MASS, BottleneckResults
from workbench.experiments.text_bottleneck.run import BottleneckParameters, run_bottleneck
from workbench.loop import open_run
from workbench.loop.positions import run_positions
from workbench.loop.probes import probe_settings
from workbench.loop.run import Run
from workbench.measure import auroc2_within
from workbench.models import LanguageModel
from workbench.report import write_page


@pytest.fixture(scope="module")
def place(finished_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished_run.folder, tmp_path_factory.mktemp("copy") / "run"))


PARAMETERS = BottleneckParameters(ceiling=False)


@pytest.fixture(scope="module")
def results(place: Path) -> BottleneckResults:
    return run_bottleneck(None, place, PARAMETERS, figures=place.parent / "figures")


def opened(place: Path, *stages: str) -> Run:
    """The run with the finished ``stages`` of the analysis."""
    run = open_run(place, place.parent / "figures")
    for stage in stages:
        run.keys[stage] = run.store.stage(stage, "").facts()["key"]
    return run


def test_every_step_is_measured_in_every_condition(place: Path, results: BottleneckResults) -> None:
    followed = (BEFORE, AFTER, CONTROL)
    run = opened(place, CONTROL.readings, *(steps_stage(each.name) for each in followed))
    assert tuple(each.condition for each in results.conditions) == followed
    for each in results.conditions:
        split = split_of(run, each.condition)
        steps = steps_of(run, each.condition, split)
        assert tuple(step.name for step in steps) == STEPS
        assert [step.name for step in each.waterfall.steps] == list(STEPS)
        for step, measured in zip(steps, each.waterfall.steps, strict=True):
            wanted = auroc2_within(step.held_out, split.questions.correct, split.questions.domain)
            assert measured.within.value == pytest.approx(wanted)
        assert not set(split.train) & set(split.test)
        assert each.by_layer[AT_CONFIDENCE].shape == each.by_layer[HAVING_ANSWERED].shape == (4,)
        assert set(each.layers) == {*STEPS[0 if each.condition == BEFORE else 1 : 4]}
        assert each.layers[DISTRIBUTION] == 3
    texts = run.stage("elicit").table("confidence").set_index("row")["stated"]
    split = split_of(run)
    # No adapter acts on the question: what is known before answering is one reading for all.
    (first, *others) = (steps_of(run, each, split)[0].held_out for each in followed)
    assert all(np.array_equal(each, first) for each in others)
    before = steps_of(run, BEFORE, split)[STEPS.index(TEXT)]
    np.testing.assert_array_equal(before.held_out, texts.loc[split.test.tolist()].to_numpy())


def test_verdicts_rest_on_the_steps(results: BottleneckResults) -> None:
    for each in results.conditions:
        assert each.verdict is not None
        assert each.no_verdict == ""
        by_name = {step.name: step.within.value for step in each.waterfall.steps}
        said = each.verdict.stations[-1]
        assert said.test.value == pytest.approx(by_name[TEXT])
        low = [note for note in page_of(results).notes[1:] if note.startswith(each.label)]
        assert bool(low) == (each.mass < LOW_MASS)


def test_the_control_states_what_the_run_read_of_it_and_its_states_are_kept(
    place: Path, results: BottleneckResults
) -> None:
    run = opened(place, CONTROL.readings)
    found, known = (
        run.stage(stage).table("confidence") for stage in (CONTROL.readings, "elicit_control")
    )
    both = found.merge(known, on="row", suffixes=("", "_known"))
    assert len(both) == len(known)
    np.testing.assert_allclose(both["expected"], both["expected_known"], atol=1e-6)
    assert list(both["stated_text"]) == list(both["stated_text_known"])
    states = run.stage(CONTROL.readings).tensors("readings")["states"]
    base, tuned = (
        run.stage(stage).tensors("readings")["states"] for stage in ("elicit", "elicit_tuned")
    )
    rows = found["row"].to_numpy()
    at = run_positions(run).index("confidence")
    np.testing.assert_array_equal(np.delete(states, at, axis=2), np.delete(base[rows], at, axis=2))
    assert not np.allclose(states[:, -1, at], base[rows][:, -1, at])
    assert not np.allclose(states[:, -1, at], tuned[rows][:, -1, at])
    remedies = [each.verdict.remedy for each in results.conditions if each.verdict]
    assert "needs teaching" not in remedies[1:]


def test_fewer_training_questions_change_the_fits_and_no_held_out_question(
    place: Path, results: BottleneckResults, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(place, tmp_path / "run"))
    shutil.rmtree(copy / CONTROL.readings)
    few = BottleneckParameters(
        lens=False, geometry=False, interventions=False, ceiling=False, condition_questions=40
    )
    found = run_bottleneck(None, copy, few, figures=tmp_path / "figures")
    run = opened(copy, CONTROL.readings, steps_stage(CONTROL.name))
    split, whole = split_of(run, CONTROL), split_of(run)
    assert [each.trained_on for each in found.conditions] == [len(whole.train)] * 2 + [40]
    np.testing.assert_array_equal(split.test, whole.test)
    assert set(split.train) < set(whole.train)
    kept = run.stage(steps_stage(CONTROL.name)).table("steps")
    assert set(kept["row"]) == {*split.train.tolist(), *whole.test.tolist()}
    assert found.conditions[0].waterfall == results.conditions[0].waterfall
    said = run.stage(CONTROL.readings).table("confidence").set_index("row")["expected"]
    scale = run.fmt.scale
    read = expected_confidence(distributions(run, CONTROL, whole.test), scale.values, scale.certain)
    np.testing.assert_allclose(read, said.loc[whole.test.tolist()])
    base = run.stage("elicit").tensors("readings")["states"]
    base = base[:, :, run_positions(run).index("answer_end")]
    alike = read_best(
        HAVING_ANSWERED,
        base[split.train],
        split.questions.training_correct,
        base[whole.test],
        probe_settings(run),
    )
    mine = kept[kept["step"] == HAVING_ANSWERED].set_index("row")["score"]
    np.testing.assert_allclose(mine.loc[whole.test.tolist()], alike.step.held_out)
    np.testing.assert_allclose(mine.loc[split.train.tolist()], alike.step.training)
    text = found.conditions[2].waterfall.steps[STEPS.index(TEXT)]
    assert text.within == results.conditions[2].waterfall.steps[STEPS.index(TEXT)].within


def test_lenses_of_a_condition_that_is_not_followed_are_refused(place: Path) -> None:
    wrong = BottleneckParameters(lens_conditions=("first_stage",))
    with pytest.raises(WorkbenchError, match="'first_stage', which is not followed; choose"):
        run_bottleneck(None, place, wrong, figures=place.parent / "figures")


def test_at_the_last_layer_a_lens_reads_what_the_model_says(
    place: Path, results: BottleneckResults
) -> None:
    """Only the vocabulary's other tokens are left out, and the tuned lens has no map there."""
    run = opened(place, *(lens_stage(each) for each in ("before", "after")))
    split = split_of(run)
    assert results.conditions[2].by_lens == {}
    for each in results.conditions[:2]:
        scores = run.stage(lens_stage(each.when)).tensors("scores")
        assert set(scores) == {f"{lens}.{kind}" for lens in LENSES for kind in ("mean", "best")}
        assert all(found.shape == (len(split.test), 4) for found in scores.values())
        np.testing.assert_allclose(scores["logit.mean"][:, 3], scores["tuned.mean"][:, 3])
        assert not np.allclose(scores["logit.mean"][:, 0], scores["tuned.mean"][:, 0])
        divergence = run.stage(lens_stage(each.when)).facts()["divergence"]
        assert divergence["logit"][-1] == divergence["tuned"][-1] == 0
        assert 0 < divergence["Jacobian"][-1] < min(divergence["logit"][:-1])
        assert min(divergence["tuned"][:-1]) > 0


def test_a_conditions_lenses_fit_it_alone(place: Path, results: BottleneckResults) -> None:
    run = opened(place, *map(lens_stage, ("before", "after")))
    trie = run.scale_tokens.trie
    files = {when: run.stage(lens_stage(when)).folder for when in ("before", "after")}

    def load(when: str, lm: LanguageModel) -> None:
        load_tuned_lens(files[when] / lens_file("tuned"), lm)
        load_jacobian_lens(files[when] / lens_file("Jacobian"), lm, trie)

    load("before", run.lm)
    with pytest.raises(WorkbenchError, match="fitted on another model"):
        load("after", run.lm)
    with run.with_adapter("teach") as taught:
        load("after", taught)
        with pytest.raises(WorkbenchError, match="fitted on another model"):
            load("before", taught)


def test_kept_beginnings_are_computed_once_and_read_the_same(
    place: Path, results: BottleneckResults
) -> None:
    """Both conditions go on from the same keys; whole passes give the same states."""
    run = opened(place)
    split = split_of(run)
    base = lens_inputs(run, run.lm, split, 20)
    held = run.reply_cache.bytes
    with run.with_adapter("teach") as tuned:
        taught = lens_inputs(run, tuned, split, 20)
        assert run.reply_cache.bytes == held > 0
        assert set(split.test) <= set(taught.rows)
        assert set(taught.rows[taught.fitted]) <= set(split.train)
        places = taught.fitted[:5]
        found = taught.states(tuned, places)
        whole = replace(taught, beginnings=None).states(tuned, places)
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found, base.states(run.lm, places), atol=1e-3)


def test_too_few_answers_have_no_verdict_and_it_is_said(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.bottleneck.verdict.FEWEST", 100)
    found = run_bottleneck(None, place, PARAMETERS, figures=place.parent / "figures")
    assert all(each.verdict is None for each in found.conditions)
    assert all("at least 100 held-out" in each.no_verdict for each in found.conditions)
    assert found.summary()["before.verdict"] == "none"
    assert "at least 100" in str(page_of(found).lead[0])


def test_it_is_read_once_and_comes_back_as_it_was(
    place: Path, results: BottleneckResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in ("read", "lens"):
        monkeypatch.setattr(f"workbench.experiments.text_bottleneck.{room}.read_best", None)
    monkeypatch.setattr("workbench.experiments.text_bottleneck.geometry.measure_layer", None)
    again = run_bottleneck(None, place, PARAMETERS, figures=place.parent / "figures")
    assert again.summary() == pytest.approx(results.summary(), nan_ok=True)


def test_the_page_has_the_waterfall_and_its_numbers(
    results: BottleneckResults, tmp_path: Path
) -> None:
    index = write_page(page_of(results), tmp_path / "page")
    html = index.read_text()
    assert "Where does" in html
    assert {"waterfall.html", "layers.html", "lenses.html", "geometry.html"} <= {
        path.name for path in index.parent.iterdir()
    }
    steps = pd.read_csv(index.parent / "steps.csv")
    assert list(steps["step"]) == [*STEPS, *STEPS, *STEPS]
    first = results.conditions[0].waterfall.steps[0]
    assert steps["auroc2_within"][0] == pytest.approx(first.within.value)
    assert len(pd.read_csv(index.parent / "fixed_maps.csv")) == 15
    assert len(pd.read_csv(index.parent / "sampled.csv")) == 27
    lenses = pd.read_csv(index.parent / "lenses.csv")
    assert len(lenses) == 2 * len(LENSES) * 4
    for line in (lenses.iloc[0], lenses.iloc[-1]):
        (each,) = (one for one in results.conditions if one.when == line["condition"])
        by_layer = each.by_lens[f"{line['lens']}.best"]
        assert line["best.auroc2_within"] == pytest.approx(by_layer[line["layer"]])
        assert line["divergence"] == pytest.approx(each.divergence[line["lens"]][line["layer"]])
