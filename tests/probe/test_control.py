from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.probe import (
    LayerPosition,
    ProbeSettings,
    ShuffledControl,
    apply,
    fit_layerwise,
    shuffled_control,
    shuffled_scores,
)
from workbench.probe.control import shuffled_labels
from workbench.probe.states import States
from workbench.states.layout import Layout
from workbench.states.writer import StatesWriter

SETTINGS = ProbeSettings(folds=4, inner_folds=3, inverse_penalties=(0.01, 0.1), seed=0)


def data(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two domains, 80 % and 20 % right; the states know the domain and, in the second feature,
    the answer's correctness.
    """
    rng = np.random.default_rng(seed)
    domain = rng.integers(0, 2, rows)
    correct = rng.random(rows) < np.where(domain == 1, 0.8, 0.2)
    states = rng.normal(size=(rows, 2, 1, 10)).astype(np.float32)
    states[..., 0] += 4 * domain[:, None, None]
    states[..., 1] += 3 * correct[:, None, None]
    return states, correct, domain


def test_shuffled_labels_teach_nothing() -> None:
    states, correct, _ = data(300, seed=0)
    fresh, truth, groups = data(400, seed=1)
    probe = fit_layerwise(states, correct, SETTINGS)
    assert ((apply(probe, fresh)[:, 0, 0] > 0.5) == truth).mean() > 0.9
    control = shuffled_control(
        probe, states, fresh, truth, n_shuffles=60, seed=0, held_out_domain=groups
    )
    assert abs(control.auroc2.mean() - 0.5) < 0.07
    assert abs(control.auroc2_within.mean() - 0.5) < 0.07


def within_domain_control(knows_answer: bool) -> ShuffledControl:
    states, correct, domain = data(300, seed=0)
    fresh, truth, groups = data(400, seed=1)
    if not knows_answer:
        states, fresh = np.delete(states, 1, axis=3), np.delete(fresh, 1, axis=3)
    probe = fit_layerwise(states, correct, SETTINGS)
    return shuffled_control(
        probe, states, fresh, truth, n_shuffles=60, seed=0, domain=domain, held_out_domain=groups
    )


def test_shuffling_within_domain_leaves_what_the_domain_gives() -> None:
    control = within_domain_control(knows_answer=False)
    assert control.auroc2.mean() > 0.7
    assert abs(control.auroc2_within.mean() - 0.5) < 0.07


def test_a_sign_of_correctness_serves_as_a_sign_of_an_easy_domain() -> None:
    control = within_domain_control(knows_answer=True)
    assert control.auroc2.mean() > 0.75
    assert control.auroc2_within.mean() > 0.6


def test_permutations_keep_each_domains_count_and_follow_the_seed() -> None:
    _, correct, domain = data(100, seed=2)
    shuffled = shuffled_labels(correct, n_shuffles=5, seed=1, domain=domain)
    for group in (0, 1):
        assert (shuffled[:, domain == group].sum(axis=1) == correct[domain == group].sum()).all()
    assert (shuffled != correct).any(axis=1).all()
    assert len({row.tobytes() for row in shuffled}) == 5
    np.testing.assert_array_equal(
        shuffled, shuffled_labels(correct, n_shuffles=5, seed=1, domain=domain)
    )


def test_no_domain_means_no_value_within_domain() -> None:
    states, correct, _ = data(100, seed=0)
    probe = fit_layerwise(states, correct, SETTINGS)
    control = shuffled_control(probe, states, states, correct, n_shuffles=2, seed=0)
    assert control.auroc2.shape == (2, 2, 1)
    assert np.isnan(control.auroc2_within).all()


def test_mistakes_are_named() -> None:
    states, correct, _ = data(100, seed=0)
    probe = fit_layerwise(states, correct, SETTINGS)
    with pytest.raises(WorkbenchError, match="fitted on 100 questions and 90"):
        shuffled_control(probe, states[:90], states, correct, n_shuffles=2, seed=0)
    with pytest.raises(WorkbenchError, match="at least 1"):
        shuffled_control(probe, states, states, correct, n_shuffles=0, seed=0)
    with pytest.raises(WorkbenchError, match="trace them alike"):
        shuffled_control(probe, states, states[:, :1], correct, n_shuffles=2, seed=0)


def test_shards_and_the_space_of_features_give_the_control_of_the_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    states = rng.normal(size=(90, 2, 1, 20)).astype(np.float32)
    correct = states[:, 0, 0, 0] + rng.normal(size=90) > 0
    writer = StatesWriter(tmp_path, Layout(2, ("end",), 20, "float32"))
    for number, part in enumerate(np.array_split(rng.permutation(90), 6)):
        writer.write(str(number), part, states[part])
    kept, train, test = writer.finish(), np.arange(60), np.arange(60, 90)
    settings = ProbeSettings(folds=3, inner_folds=2, inverse_penalties=(0.01, 0.1), seed=0)

    def scores(source: States) -> tuple[np.ndarray, np.ndarray]:
        probe = fit_layerwise(source[train], correct[train], settings)
        control = shuffled_control(
            probe, source[train], source[test], correct[test], n_shuffles=3, seed=1
        )
        alone = shuffled_scores(
            probe, LayerPosition(1, 0), source[train], source[test], n_shuffles=4, seed=2
        )
        return control.auroc2, alone

    wanted = scores(states)
    for found, expected in zip(scores(kept), wanted, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)
    monkeypatch.setattr("workbench.probe.workers.GRAM_ROWS", 10)
    for found, expected in zip(scores(kept), wanted, strict=True):
        np.testing.assert_allclose(found, expected, atol=5e-3)
