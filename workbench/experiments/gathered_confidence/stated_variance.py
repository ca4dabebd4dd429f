"""Share out the variance of the stated confidence between the answer's likelihood and the states
kept at the first token after the answer.

States are reduced to one number, their ridge prediction of the stated confidence. Layer and penalty
are chosen, and the fit made, on training questions alone (generalised cross-validation); what is
shared out is of held-out ones. The null is the same with training confidences shuffled. The
question's domain is a further predictor, because states that tell domains apart alone predict
confidence too.
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from workbench.arrays import Floats, Rows
from workbench.experiments.patching_maps.maps import spaced_layers
from workbench.loop.positions import run_positions
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.loop.states import states_of_stage
from workbench.measure.bootstrap import Bootstrap
from workbench.measure.interval import Estimate
from workbench.mechanisms.record import BASE
from workbench.mechanisms.works.gathered_measures import (
    DOMAIN,
    LIKELIHOOD,
    SHUFFLED,
    STATES,
    measure_variance,
)
from workbench.pipeline.store import ROW

LAYERS = 8
STAGE_OF = {BASE: "elicit"}
"""The stage that read a condition's confidence; the taught model's is "elicit_tuned"."""


def share_out_variance(run: Run, condition: str) -> tuple[dict[str, Estimate], int]:
    """Return the shares, and the layer whose states were chosen on training questions.

    The states after the answer are the base model's, which are the taught model's where its adapter
    acts on the confidence reply alone.
    """
    questions, _ = load_questions(run)
    split = questions["split"].to_numpy(dtype=str)
    domain = questions["domain"].to_numpy(dtype=str)
    read = run.stage(STAGE_OF.get(condition, "elicit_tuned")).table("confidence")
    answers = run.stage("answer").table("answers").set_index(ROW)
    everyone = np.arange(len(questions))
    confidence = read.set_index(ROW)["expected"].reindex(everyone).to_numpy(dtype=np.float64)
    likelihood = answers["log_probability"].reindex(everyone).to_numpy(dtype=np.float64)
    known = np.isfinite(confidence) & np.isfinite(likelihood)
    train, test = (np.flatnonzero(known & (split == side)) for side in ("train", "test"))
    states = states_of_stage(run.stage("elicit"))
    at = run_positions(run).index("after_answer")

    def of_layer(layer: int) -> Floats:
        return np.asarray(states[:, layer, at], dtype=np.float64)

    layers = spaced_layers(states.shape[1], LAYERS)
    penalties = run.config.probe.ridge_penalties
    fits = {layer: _fit(of_layer(layer)[train], confidence[train], penalties) for layer in layers}
    layer = max(fits, key=lambda each: float(fits[each][-1].best_score_))
    shuffled = np.random.default_rng(run.config.seed).permutation(confidence[train])
    null = _fit(of_layer(layer)[train], shuffled, penalties)
    held_out = of_layer(layer)[test]
    predictors: dict[str, Floats] = {
        LIKELIHOOD: likelihood[test],
        STATES: fits[layer].predict(held_out),
        SHUFFLED: null.predict(held_out),
    }
    if len(set(domain[test].tolist())) > 1:
        predictors[DOMAIN] = _indicators(domain, test)
    draw = Bootstrap(run.config.bootstrap_resamples, run.config.seed)
    return measure_variance(confidence[test], predictors, draw), layer


def _fit(states: Floats, confidence: Floats, penalties: tuple[float, ...]) -> Pipeline:
    ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=penalties))
    ridge.fit(states, confidence)
    return ridge


def _indicators(domain: np.ndarray, rows: Rows) -> Floats:
    """Return a column for each domain but the first, [rows, domains - 1]."""
    names = sorted(set(domain[rows].tolist()))
    return np.stack([domain[rows] == name for name in names[1:]], axis=1).astype(np.float64)
