"""Compare the directions of accuracy and of stated confidence in a run's kept states.

One stage a condition; no model is asked. The layer is that of the correctness probe at the
confidence position with the smallest log loss out of fold. States are standardised over training
questions; states, grades and confidences are taken less the means of their domain, unless a number
says *pooled*. The tables: ``quantities`` with what the claims read, ``layers`` with the cosines
after every layer, and ``readings`` with what the two directions and the probe read of every
question that was read. See :mod:`workbench.probe.split_half` for the correction and its sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV

from workbench import progress
from workbench.arrays import Floats, Rows
from workbench.bottleneck.directions import (
    cosines,
    deviations_of,
    draw_with_covariance,
    range_of,
)
from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.conditions import ModelCondition
from workbench.experiments.text_bottleneck.read import (
    AT_CONFIDENCE,
    Split,
    split_of,
    vectors_at,
)
from workbench.loop.probes import probe_settings
from workbench.loop.run import Run
from workbench.measure import bootstrap
from workbench.measure.interval import Estimate
from workbench.measure.within_groups import centre_within
from workbench.mechanisms.works.direction_worlds import correlation_of
from workbench.pipeline.store import ROW, StageStore
from workbench.probe import apply, fit_layerwise
from workbench.probe.split_half import Target, compare_directions

QUANTITIES, LAYERS, READINGS = "quantities", "layers", "readings"
DRAWS = 400
"""Random directions of the states' covariance."""
CURVE_HALVINGS = 6


@dataclass(frozen=True)
class DirectionPlan:
    """How often questions are halved for the directions, and how many blocks are left out in turn
    for an interval.
    """

    halvings: int
    blocks: int


@dataclass(frozen=True, eq=False)
class Standardised:
    """States of one layer, standardised over training questions.

    Attributes:
        training, held_out: [m, width] and [n, width].
        mean, scale: [width] of the raw states.
    """

    training: Floats
    held_out: Floats
    mean: Floats
    scale: Floats


def directions_stage(condition: str) -> str:
    """Return the name of the stage of a condition."""
    return f"directions_{condition}"


def read_directions(
    run: Run, stage: StageStore, *, condition: ModelCondition, plan: DirectionPlan
) -> dict[str, Any]:
    """Compare the directions after every layer, and save the tables.

    Raises:
        WorkbenchError: where the model states one confidence for every question.
    """
    split = split_of(run, condition)
    held = vectors_at(run, condition, AT_CONFIDENCE)
    training, held_out = held.of(split.train), held.of(split.test)
    said = said_of(run, condition, split)
    graded = split.questions.training_correct
    probe = fit_layerwise(training[:, :, None], graded, probe_settings(run))
    chosen = probe.best.layer
    rows = []
    for layer in progress.track(range(training.shape[1]), "comparing accuracy and confidence"):
        states = standardise(training[:, layer], held_out[:, layer])
        rows.append(_curve_row(run, layer, states, graded, said, split))
    states = standardise(training[:, chosen], held_out[:, chosen])
    found, readings = _at_layer(run, states, said, split, plan)
    readings["probability"] = np.r_[
        probe.out_of_fold[:, chosen, 0], apply(probe, held_out[:, :, None])[:, chosen, 0]
    ]
    stage.save_table(QUANTITIES, table_of(found))
    stage.save_table(LAYERS, pd.DataFrame(rows))
    stage.save_table(READINGS, readings)
    return {"layer": int(chosen)}


@dataclass(frozen=True, eq=False)
class Said:
    """The expected confidence of training [m] and held-out [n] questions."""

    training: Floats
    held_out: Floats


def said_of(run: Run, condition: ModelCondition, split: Split) -> Said:
    """Return the expected confidence that was read in a condition.

    Raises:
        WorkbenchError: where it is the same for every training question.
    """
    table = run.stage(condition.readings).table("confidence").set_index(ROW)["expected"]
    said = Said(
        *(table.loc[each.tolist()].to_numpy(dtype=float) for each in (split.train, split.test))
    )
    if np.ptp(said.training) == 0:
        raise WorkbenchError(
            "The model expects the same confidence of every training question, so confidence has "
            "no direction; ask it in another format."
        )
    return said


def standardise(training: Any, held_out: Any) -> Standardised:
    """Return one layer's states less the mean of training questions, in units of their standard
    deviation; a feature without any is left as it is.
    """
    known, others = (np.asarray(each, dtype=np.float64) for each in (training, held_out))
    mean, scale = known.mean(axis=0), known.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return Standardised((known - mean) / scale, (others - mean) / scale, mean, scale)


def target_of(states: Floats, values: Floats, penalties: Any, *, probe: bool = True) -> Target:
    """Return the target of a direction: a ridge regression whose penalty is chosen by exact
    leave-one-out, or the mean difference.
    """
    centred = values - values.mean()
    if not probe:
        return Target(states, centred, None)
    fitted = RidgeCV(alphas=np.asarray(penalties, dtype=np.float64)).fit(states, centred)
    return Target(states, centred, float(fitted.alpha_))


def _curve_row(
    run: Run, layer: int, states: Standardised, graded: Any, said: Said, split: Split
) -> dict[str, float]:
    domain = split.questions.training_domain
    penalties, seed = run.config.probe.ridge_penalties, run.config.seed
    centred = centre_within(states.training, domain)
    first = target_of(centred, centre_within(graded, domain), penalties)
    second = target_of(centred, centre_within(said.training, domain), penalties)
    found = compare_directions(first, second, halvings=CURVE_HALVINGS, blocks=0, seed=seed)
    random = _random(centred, first, seed)
    return {
        "layer": layer,
        "cosine": found.cosine,
        "corrected": found.corrected.value,
        "reliability_accuracy": found.first.value,
        "reliability_confidence": found.second.value,
        "random_low": random.low,
        "random_high": random.high,
    }


def _random(centred: Floats, first: Target, seed: int) -> Estimate:
    """Return the cosine of the direction of accuracy with random ones: mean, and the range of the
    middle 95 %.
    """
    direction = first.direction(np.arange(len(centred)))
    drawn = cosines(draw_with_covariance(DRAWS, deviations_of(centred), seed), direction)
    span = range_of(0.0, drawn)
    return Estimate(float(drawn.mean()), span.low, span.high, len(centred))


def _at_layer(
    run: Run, states: Standardised, said: Said, split: Split, plan: DirectionPlan
) -> tuple[dict[str, Estimate], pd.DataFrame]:
    """Return the quantities at the chosen layer, and what both directions read of every
    question.
    """
    asked, config = split.questions, run.config
    penalties, seed = config.probe.ridge_penalties, config.seed
    compare = partial(compare_directions, halvings=plan.halvings, blocks=plan.blocks, seed=seed)
    domain, graded = asked.training_domain, asked.training_correct.astype(float)
    centred = centre_within(states.training, domain)
    values = [centre_within(each, domain) for each in (graded, said.training)]
    first, second = (target_of(centred, each, penalties) for each in values)
    found = compare(first, second)
    means = compare(*(target_of(centred, each, penalties, probe=False) for each in values))
    pooled = compare(
        *(target_of(states.training, each, penalties) for each in (graded, said.training))
    )
    every = np.arange(len(graded))
    filters = [each.direction(every) for each in (first, second)]
    held_out = centre_within(states.held_out, asked.domain)
    read = [np.r_[centred @ each, held_out @ each] for each in filters]
    held = len(graded)
    stated = centre_within(said.held_out, asked.domain)
    drawn = {"seed": seed, "resamples": config.bootstrap_resamples}
    nan, n = float("nan"), len(graded)
    quantities = {
        "cosine": Estimate(found.cosine, nan, nan, n),
        "corrected": found.corrected,
        "means_corrected": means.corrected,
        "pooled_corrected": pooled.corrected,
        "random": _random(centred, first, seed),
        "reliability_accuracy": found.first,
        "reliability_confidence": found.second,
        "readings": bootstrap(correlation_of, read[0][held:], read[1][held:], **drawn),
        "read_direct": bootstrap(correlation_of, read[1][held:], stated, **drawn),
    }
    table = pd.DataFrame(
        {
            ROW: np.r_[split.train, split.test],
            "split": ["train"] * len(split.train) + ["test"] * len(split.test),
            "accuracy": read[0],
            "confidence": read[1],
            "expected": np.r_[said.training, said.held_out],
        }
    )
    return quantities, table


def table_of(found: Mapping[str, Estimate]) -> pd.DataFrame:
    """Return estimates as a table, one row a quantity."""
    return pd.DataFrame(
        [
            {"quantity": name, "value": each.value, "low": each.low, "high": each.high, "n": each.n}
            for name, each in found.items()
        ]
    )


def estimates_of(table: pd.DataFrame) -> dict[str, Estimate]:
    """Return the estimates that :func:`table_of` wrote."""
    return {
        str(row["quantity"]): Estimate(
            float(row["value"]), float(row["low"]), float(row["high"]), int(row["n"])
        )
        for row in table.to_dict("records")
    }


def rows_of(table: pd.DataFrame, split: str) -> Rows:
    """Return the questions of a side in a table of readings."""
    rows: Rows = table.loc[table["split"] == split, ROW].to_numpy()
    return rows
