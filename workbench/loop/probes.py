"""Run the stages that fit probes: on the base model's states, and again on the tuned model's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.conversation import QUESTION_END
from workbench.loop.answers import right_answers
from workbench.loop.positions import run_positions
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.loop.states import question_end_states, states_of_stage
from workbench.measure import auroc2_within
from workbench.measure.within_test import shuffled_variance, training_spread
from workbench.pipeline.store import ROW, StageStore
from workbench.probe import (
    HeldOutProbe,
    ProbeSettings,
    apply,
    confidence_direction,
    correctness_direction,
    cosine,
    fit_and_judge,
    fit_layerwise,
    shuffled_scores,
)
from workbench.probe.states import States

SHUFFLES = 40
"""Probes on shuffled labels at the chosen site, from which the spread of trainings is estimated."""
HELD_OUT = "held_out"
"""The tensor of the stage that holds what all probes read of the held-out questions."""
THINNED = 3
"""The question's end is probed at every third layer, from the last down."""


def probe_before(context: Run, stage: StageStore) -> dict[str, Any]:
    """Fit probes on the base model's states; they also give the cross-fitted training targets.

    A probe of the question's end is fitted with them: what can be read before anything is answered.
    """
    facts = fit_probes(context, stage, "elicit")
    return facts | question_probe(context, stage)


def probe_after(context: Run, stage: StageStore) -> dict[str, Any]:
    """Fit the same probes again on the tuned model's states."""
    return fit_probes(context, stage, "elicit_tuned")


def fit_probes(context: Run, stage: StageStore, source: str) -> dict[str, Any]:
    """Fit probes on the states of all questions that the stage ``source`` saved."""
    config = context.config
    questions, _ = load_questions(context)
    states = states_of_stage(context.stage(source))
    train = np.flatnonzero(questions["split"] == "train")
    test = np.flatnonzero(questions["split"] == "test")
    right_train, right_test = right_answers(context, train), right_answers(context, test)
    domain = questions["domain"].to_numpy(dtype=str)
    settings, positions = probe_settings(context), run_positions(context)
    found = fit_and_judge(
        states[train],
        right_train,
        states[test],
        right_test,
        settings,
        positions=positions,
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
        "probe",
        {
            "weights": probe.weights,
            "intercept": probe.intercept,
            "c": probe.c,
            # Of held-out questions, for the reader who opens one: [questions, layers, positions].
            HELD_OUT: found.held_out.astype(np.float32),
        },
    )
    expected = context.stage(source).table("confidence")["expected"].to_numpy()
    site_states = np.asarray(states[train][:, best.layer, best.position])
    angle = cosine(
        correctness_direction(probe, best),
        confidence_direction(site_states, expected[train], config.probe.ridge_penalties),
    )
    return {
        "layer": best.layer,
        "position": positions[best.position],
        "shuffled_mean": float(null.mean()),
        "shuffled_low": float(null.min()),
        "shuffled_high": float(null.max()),
        "direction_cosine": float(angle),
        "training_spread": _training_spread(
            found, states[train], states[test], right_test, domain[test], config.seed
        ),
    }


def probe_settings(context: Run) -> ProbeSettings:
    """Return how the run's probes are fitted."""
    config = context.config
    return ProbeSettings(
        folds=config.probe.folds,
        inner_folds=config.probe.inner_folds,
        inverse_penalties=config.probe.inverse_penalties,
        seed=config.seed,
        memory_bytes=config.probe.memory_bytes,
    )


def _training_spread(
    found: HeldOutProbe,
    states: States,
    held_out: States,
    correct: NDArray[np.bool_],
    domain: NDArray[Any],
    seed: int,
) -> float:
    """Return how far AUROC2 within domain of trainings on shuffled targets strays from 1/2, beyond
    what shuffled grades give, from SHUFFLES probes at the chosen site.
    """
    scores = shuffled_scores(
        found.probe, found.probe.best, states, held_out, n_shuffles=SHUFFLES, seed=seed
    )
    within = np.array([auroc2_within(one, correct, domain) for one in scores])
    codes = np.unique(domain, return_inverse=True)[1]
    return training_spread(within, shuffled_variance(scores[0], correct, codes))


def question_probe(context: Run, stage: StageStore) -> dict[str, Any]:
    """Fit the probe of the question's end at every THINNED-th layer, and save the held-out
    probabilities at the layer chosen on training questions as the table "question_end".

    Returns:
        Its layer; nothing where the position was not recorded.
    """
    kept = question_end_states(context.stage("elicit"))
    if kept is None:
        return {}
    questions, _ = load_questions(context)
    train = np.flatnonzero(questions["split"] == "train")
    test = np.flatnonzero(questions["split"] == "test")
    layers = np.arange(kept.shape[1])[::-THINNED][::-1]
    states = kept[:, layers, None]
    probe = fit_layerwise(states[train], right_answers(context, train), probe_settings(context))
    scores = apply(probe, states[test])[:, probe.best.layer, 0]
    stage.save_table(QUESTION_END, pd.DataFrame({ROW: test, "probability": scores}))
    return {"question_end_layer": int(layers[probe.best.layer])}
