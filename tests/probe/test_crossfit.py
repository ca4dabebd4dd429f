from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workbench.errors import WorkbenchError
from workbench.probe import (
    LayerPosition,
    ProbeSettings,
    apply,
    crossfitted_targets,
    ensemble_targets,
    fit_layerwise,
    stratified_folds,
)
from workbench.probe.folds import plan_folds
from workbench.states.layout import Layout
from workbench.states.writer import StatesWriter

GRID = (0.001, 0.03, 1.0)
SETTINGS = ProbeSettings(folds=5, inner_folds=4, inverse_penalties=GRID, seed=0)
QUICK = ProbeSettings(folds=3, inner_folds=2, inverse_penalties=GRID[:2], seed=0)
"""For what has nothing to do with how many folds there are."""
PLANTED = LayerPosition(layer=2, position=1)


def noise(
    rows: int, seed: int = 0, width: int = 60, layers: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, layers, 2, width)).astype(np.float32), rng.random(rows) < 0.4


def planted(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    states, correct = noise(rows, seed)
    direction = np.random.default_rng(99).normal(size=states.shape[-1])
    direction *= 2.5 / np.linalg.norm(direction)
    states[:, PLANTED.layer, PLANTED.position] += np.where(correct, 0.5, -0.5)[:, None] * direction
    return states, correct


def sklearn_probability(
    states: np.ndarray, correct: np.ndarray, train: np.ndarray, c: float
) -> np.ndarray:
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=c, solver="newton-cg", tol=1e-10, max_iter=1000)
    )
    return model.fit(states[train], correct[train]).predict_proba(states)[:, 1]


@pytest.mark.parametrize("inner_folds", [4, 3])
def test_nested_choice_and_refit_are_those_of_sklearn(inner_folds: int) -> None:
    settings = ProbeSettings(folds=5, inner_folds=inner_folds, inverse_penalties=GRID, seed=7)
    states, correct = planted(90)
    probe = fit_layerwise(states[:, 2:3], correct, settings)
    site = states[:, 2, 1].astype(np.float64)
    plan = plan_folds(correct, stratified_folds(correct, settings), settings)
    held_out = np.empty((len(GRID), len(correct)))
    for k, outer in enumerate(plan.outer):
        scores = np.full((len(GRID), len(correct)), np.nan)
        for i, c in enumerate(GRID):
            held_out[i, outer.test] = sklearn_probability(site, correct, outer.train, c)[outer.test]
            for split in plan.inner[k]:
                scores[i, split.test] = sklearn_probability(site, correct, split.train, c)[
                    split.test
                ]
        losses = [log_loss(correct[outer.train], row[outer.train]) for row in scores]
        chosen = int(np.argmin(losses))
        assert probe.fold_c[k, 0, 1] == GRID[chosen]
        assert probe.inner_log_loss[k, 0, 1] == pytest.approx(losses[chosen], abs=1e-5)
        auroc = roc_auc_score(correct[outer.train], scores[chosen, outer.train])
        assert probe.inner_auroc2[k, 0, 1] == pytest.approx(auroc, abs=1e-9)
        np.testing.assert_allclose(
            probe.out_of_fold[outer.test, 0, 1], held_out[chosen, outer.test], atol=1e-5
        )
    final = GRID[int(np.argmin([log_loss(correct, row) for row in held_out]))]
    assert probe.c[0, 1] == final
    refitted = sklearn_probability(site, correct, np.arange(len(correct)), final)
    np.testing.assert_allclose(apply(probe, states[:, 2:3])[:, 0, 1], refitted, atol=1e-5)


def test_a_planted_direction_is_found_where_it_is() -> None:
    states, correct = planted(300)
    probe = fit_layerwise(states, correct, SETTINGS)
    assert probe.best == probe.best_by("auroc2") == PLANTED
    fresh, truth = planted(400, seed=5)
    held_out = apply(probe, fresh)
    assert roc_auc_score(truth, held_out[:, 2, 1]) > 0.9
    assert abs(roc_auc_score(truth, held_out[:, 0, 0]) - 0.5) < 0.1
    for criterion in ("log_loss", "auroc2"):
        targets = crossfitted_targets(probe, criterion)
        assert targets.sites == (PLANTED,) * 5
        np.testing.assert_array_equal(targets.probability, probe.out_of_fold[:, 2, 1])


def test_noise_gives_chance_out_of_fold_though_the_fit_is_perfect() -> None:
    states, correct = noise(200, width=300, layers=6)
    probe = fit_layerwise(
        states,
        correct,
        ProbeSettings(folds=5, inner_folds=4, inverse_penalties=(0.01, 1.0), seed=0),
    )
    in_sample = [roc_auc_score(correct, apply(probe, states)[:, i, j]) for i, j in np.ndindex(6, 2)]
    assert min(in_sample) > 0.95
    assert abs(probe.out_of_fold_auroc2.mean() - 0.5) < 0.05
    assert abs(roc_auc_score(correct, crossfitted_targets(probe, "auroc2").probability) - 0.5) < 0.1


@pytest.mark.parametrize("inner_folds", [4, 3])
def test_labels_of_a_fold_change_nothing_that_scores_that_fold(inner_folds: int) -> None:
    settings = ProbeSettings(folds=5, inner_folds=inner_folds, inverse_penalties=GRID, seed=1)
    states, correct = planted(120)
    folds = stratified_folds(correct, settings)
    before = fit_layerwise(states, correct, settings, fold_of=folds)
    changed = correct.copy()
    row = 17
    changed[row] = ~changed[row]
    after = fit_layerwise(states, changed, settings, fold_of=folds)
    own = folds == folds[row]
    np.testing.assert_array_equal(before.out_of_fold[own], after.out_of_fold[own])
    for name in ("fold_c", "inner_log_loss", "inner_auroc2"):
        np.testing.assert_array_equal(
            getattr(before, name)[folds[row]], getattr(after, name)[folds[row]]
        )
    for criterion in ("log_loss", "auroc2"):
        first, second = (
            crossfitted_targets(before, criterion),
            crossfitted_targets(after, criterion),
        )
        np.testing.assert_array_equal(first.probability[own], second.probability[own])
        assert first.sites[folds[row]] == second.sites[folds[row]]
    assert (before.out_of_fold[~own] != after.out_of_fold[~own]).all()


def test_targets_take_each_folds_own_site() -> None:
    states, correct = noise(100)
    probe = fit_layerwise(states, correct, SETTINGS)
    targets = crossfitted_targets(probe, "log_loss")
    for row, fold in enumerate(probe.fold_of):
        site = targets.sites[fold]
        assert (
            probe.inner_log_loss[fold, site.layer, site.position]
            == probe.inner_log_loss[fold].min()
        )
        assert targets.probability[row] == probe.out_of_fold[row, site.layer, site.position]


class OneLayerAtATime:
    """An array that refuses to hand out more than one layer."""

    def __init__(self, states: np.ndarray) -> None:
        self.states, self.shape, self.ndim = states, states.shape, states.ndim

    def __getitem__(self, key: tuple) -> np.ndarray:
        rows, layer = key
        assert rows == slice(None)
        assert isinstance(layer, int)
        return self.states[rows, layer]

    def __array__(self, *_: object) -> np.ndarray:
        raise AssertionError("the whole array was copied")


def test_memory_maps_tensors_and_half_floats_give_the_same_probe(tmp_path) -> None:
    states, correct = planted(80)
    wanted = fit_layerwise(states, correct, QUICK).out_of_fold
    np.save(tmp_path / "states.npy", states)
    mapped = np.load(tmp_path / "states.npy", mmap_mode="r")
    for same in (mapped, torch.from_numpy(states), OneLayerAtATime(states)):
        np.testing.assert_array_equal(fit_layerwise(same, correct, QUICK).out_of_fold, wanted)
    rounded = torch.from_numpy(states).to(torch.bfloat16)
    exact = fit_layerwise(rounded.to(torch.float32).numpy(), correct, QUICK)
    np.testing.assert_array_equal(
        fit_layerwise(rounded, correct, QUICK).out_of_fold, exact.out_of_fold
    )


def test_the_space_of_features_gives_the_probe_of_gram_matrices(monkeypatch) -> None:
    states, correct = planted(80)
    wanted = fit_layerwise(states, correct, QUICK)
    monkeypatch.setattr("workbench.probe.workers.GRAM_ROWS", 10)
    found = fit_layerwise(states, correct, QUICK)
    np.testing.assert_allclose(found.out_of_fold, wanted.out_of_fold, atol=2e-3)
    np.testing.assert_array_equal(found.c, wanted.c)
    np.testing.assert_array_equal(found.fold_c, wanted.fold_c)
    np.testing.assert_allclose(found.inner_log_loss, wanted.inner_log_loss, atol=1e-3)
    for name in ("mean", "scale"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(wanted, name), rtol=1e-5, atol=1e-5
        )
    fresh, _ = planted(40, seed=3)
    np.testing.assert_allclose(apply(found, fresh), apply(wanted, fresh), atol=2e-3)
    assert (found.out_of_fold != wanted.out_of_fold).any()


def test_states_in_shards_give_the_probe_of_the_array(tmp_path, monkeypatch) -> None:
    states, correct = planted(80)
    writer = StatesWriter(tmp_path, Layout(states.shape[1], ("a", "b"), states.shape[3], "float32"))
    rows = np.random.default_rng(1).permutation(80)
    for number, part in enumerate(np.array_split(rows, 7)):
        writer.write(str(number), part, states[part])
    kept = writer.finish()
    wanted = fit_layerwise(states[10:], correct[10:], QUICK)
    found = fit_layerwise(kept[10:], correct[10:], QUICK)
    np.testing.assert_array_equal(found.out_of_fold, wanted.out_of_fold)
    np.testing.assert_allclose(apply(found, kept[:10]), apply(wanted, states[:10]), atol=1e-12)
    monkeypatch.setattr("workbench.probe.workers.GRAM_ROWS", 10)
    primal = fit_layerwise(kept[10:], correct[10:], QUICK)
    np.testing.assert_allclose(primal.out_of_fold, wanted.out_of_fold, atol=2e-3)


def test_mistakes_are_named(monkeypatch) -> None:
    states, correct = noise(60)
    broken = states.copy()
    broken[7, 3, 1, 5] = np.nan
    with pytest.raises(WorkbenchError, match="question 7 at layer 3, position 1, feature 5 is nan"):
        fit_layerwise(broken, correct, QUICK)
    with monkeypatch.context() as patch:
        patch.setattr("workbench.probe.workers.GRAM_ROWS", 10)
        with pytest.raises(WorkbenchError, match="7 at layer 3, position 1, feature 5 is nan"):
            fit_layerwise(broken, correct, QUICK)
    with pytest.raises(WorkbenchError, match="one true or false per question"):
        fit_layerwise(states, correct[:-1], QUICK)
    with pytest.raises(WorkbenchError, match="layers, positions, width"):
        fit_layerwise(states[:, 0], correct, QUICK)
    with pytest.raises(WorkbenchError, match="trace them with the same model"):
        apply(fit_layerwise(states, correct, QUICK), states[:, :2])


def test_an_ensemble_of_one_is_the_best_site_and_of_all_the_mean_of_log_odds() -> None:
    states, correct = planted(80)
    probe = fit_layerwise(states, correct, QUICK)
    for criterion in ("log_loss", "auroc2"):
        alone = ensemble_targets(probe, criterion, 1)
        np.testing.assert_allclose(
            alone, crossfitted_targets(probe, criterion).probability, rtol=1e-9
        )
    flat = probe.out_of_fold.reshape(80, -1)
    everyone = ensemble_targets(probe, "log_loss", flat.shape[1])
    odds = np.log(flat / (1 - flat)).mean(axis=1)
    np.testing.assert_allclose(np.log(everyone / (1 - everyone)), odds, rtol=1e-6, atol=1e-9)
    for members in (0, flat.shape[1] + 1):
        with pytest.raises(WorkbenchError, match="cannot be drawn"):
            ensemble_targets(probe, "log_loss", members)


def test_no_label_of_a_fold_moves_its_ensembles_targets() -> None:
    states, correct = planted(80)
    fold_of = np.arange(80) % QUICK.folds
    before = ensemble_targets(fit_layerwise(states, correct, QUICK, fold_of=fold_of), "log_loss", 3)
    flipped = correct.copy()
    flipped[fold_of == 0] = ~flipped[fold_of == 0]
    after = ensemble_targets(fit_layerwise(states, flipped, QUICK, fold_of=fold_of), "log_loss", 3)
    np.testing.assert_allclose(after[fold_of == 0], before[fold_of == 0], rtol=1e-9)
    assert np.abs(after[fold_of != 0] - before[fold_of != 0]).max() > 0.01
