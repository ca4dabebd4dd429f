"""Run the stages that fit probes: on the base model's states, and again on the tuned model's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.conversation import POSITIONS
from workbench.loop.answers import right_answers
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.pipeline.store import ROW, StageStore
from workbench.probe import (
    ProbeSettings,
    confidence_direction,
    correctness_direction,
    cosine,
    fit_and_judge,
)


def probe_before(context: Run, stage: StageStore) -> dict[str, Any]:
    """Fit probes on the base model's states; they also give the cross-fitted training targets."""
    return fit_probes(context, stage, "elicit")


def probe_after(context: Run, stage: StageStore) -> dict[str, Any]:
    """Fit the same probes again on the tuned model's states."""
    return fit_probes(context, stage, "elicit_tuned")


def fit_probes(context: Run, stage: StageStore, source: str) -> dict[str, Any]:
    """Fit probes on the states of all questions that the stage ``source`` saved."""
    config = context.config
    questions, _ = load_questions(context)
    states: NDArray[Any] = context.stage(source).tensors("readings")["states"]
    train = np.flatnonzero(questions["split"] == "train")
    test = np.flatnonzero(questions["split"] == "test")
    right_train, right_test = right_answers(context, train), right_answers(context, test)
    domain = questions["domain"].to_numpy(dtype=str)
    settings = ProbeSettings(
        folds=config.probe.folds,
        inner_folds=config.probe.inner_folds,
        inverse_penalties=config.probe.inverse_penalties,
        seed=config.seed,
    )
    found = fit_and_judge(
        states[train],
        right_train,
        states[test],
        right_test,
        settings,
        positions=POSITIONS,
        held_out_domain=domain[test],
        shuffles=config.probe.shuffles,
        ensemble_sites=config.probe.ensemble_sites,
        resamples=config.bootstrap_resamples,
        seed=config.seed,
    )
    probe, layers, best = found.probe, found.layers, found.probe.best
    null = found.control.auroc2.mean(axis=(1, 2))
    probabilities = pd.DataFrame(
        {
            ROW: np.concatenate([train, test]),
            "split": ["train"] * len(train) + ["test"] * len(test),
            "probability": np.concatenate(
                [found.targets, found.held_out[:, best.layer, best.position]]
            ),
        }
    ).sort_values(ROW)
    stage.save_table("layers", layers)
    stage.save_table("probabilities", probabilities)
    stage.save_tensors(
        "probe", {"weights": probe.weights, "intercept": probe.intercept, "c": probe.c}
    )
    expected = context.stage(source).table("confidence")["expected"].to_numpy()
    site_states = states[train][:, best.layer, best.position]
    angle = cosine(
        correctness_direction(probe, best),
        confidence_direction(site_states, expected[train], config.probe.ridge_penalties),
    )
    return {
        "layer": best.layer,
        "position": POSITIONS[best.position],
        "shuffled_mean": float(null.mean()),
        "shuffled_low": float(null.min()),
        "shuffled_high": float(null.max()),
        "direction_cosine": float(angle),
    }
