"""States that hold confidence of their own, and states that hold the likelihood alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.experiments.gathered_confidence import stated_variance
from workbench.experiments.gathered_confidence.stated_variance import share_out_variance


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``run(own)``: 300 questions whose states after layer 1 hold ``own`` of the confidence."""

    def make(own: float) -> Any:
        rng = np.random.default_rng(0)
        likelihood, kept, noise = rng.standard_normal((3, 300))
        confidence = likelihood + own * kept + 0.5 * noise
        states = rng.standard_normal((300, 3, 2, 8))
        states[:, 1, 1, 0] = kept if own else likelihood
        split = np.where(np.arange(300) < 180, "train", "test")
        questions = pd.DataFrame({"split": split, "domain": np.resize(["a", "b"], 300)})
        table = {"row": np.arange(300), "expected": confidence, "log_probability": likelihood}
        stage = SimpleNamespace(table=lambda name: pd.DataFrame(table))
        monkeypatch.setattr(stated_variance, "load_questions", lambda run: (questions, []))
        monkeypatch.setattr(stated_variance, "states_of_stage", lambda stage: states)
        monkeypatch.setattr(stated_variance, "run_positions", lambda run: ("x", "after_answer"))
        probe = SimpleNamespace(ridge_penalties=(1.0, 10.0))
        config = SimpleNamespace(probe=probe, seed=0, bootstrap_resamples=200)
        return SimpleNamespace(stage=lambda name: stage, config=config)

    return make


def test_what_states_hold_of_their_own_is_found(run: Any) -> None:
    found, layer = share_out_variance(run(1.0), "base")
    assert layer == 1
    assert found["states_unique"].low > 0.2
    assert found["states_beside_domain"].low > 0.2
    assert found["likelihood_unique"].low > 0.2
    assert abs(found["shuffled_unique"].value) < 0.03


def test_states_that_hold_the_likelihood_alone_add_nothing(run: Any) -> None:
    found, _ = share_out_variance(run(0.0), "base")
    assert found["states_alone"].low > 0.5
    assert found["states_unique"].high < 0.02
