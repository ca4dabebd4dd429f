"""Simulate tables and sweeps with nothing in them, and with a planted effect, to see how often a
verdict holds.

The numbers are those of real runs of the default model: eight domains of unequal accuracy, a text
in steps of 0.05 with many ties at its ceiling, a tuned readout between 0.2 and 0.7, slopes that
rise from 0 to 1 over the layers, and noise that the layers share. An AUROC2 of ``A`` is planted by
a normal score whose mean differs by ``sqrt(2) probit(A)`` between right and wrong answers, plus a
part that knows the domain alone, which no verdict may take for knowledge.

A world on its own does not show that real readouts look like it; :mod:`.verdict_states` takes those
of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from workbench.arrays import Bools, Floats
from workbench.measure.patching_verdicts import (
    PatchingEvidence,
    cause_verdict,
    passing_layers,
    where_verdict,
)
from workbench.measure.simultaneous import DonorSweep, slope_band
from workbench.measure.verdicts import (
    CAUSE,
    STATES,
    TEACHING,
    TEXT,
    WHERE,
    Verdict,
    states_verdict,
    teaching_verdict,
    text_verdict,
)
from workbench.measure.within_test import shuffled_variance, training_spread

ACCURACY = (0.37, 0.44, 0.43, 0.36, 0.62, 0.37, 0.67, 0.22)
SPREAD = 0.05
"""Standard deviation of AUROC2 between trainings on shuffled targets, as probes on the default
model's states have it.
"""
SHUFFLES, RESAMPLES = 40, 300
LAYERS, MIDDLE = 15, 9.3
BEFORE = 0.47


@dataclass(frozen=True, eq=False)
class Questions:
    """Held-out questions: whether each answer is right, and its domain, both [n]."""

    correct: Bools
    domain: np.ndarray


def draw_questions(rng: np.random.Generator, n: int) -> Questions:
    """Draw questions evenly over domains of unequal accuracy."""
    domain = np.resize(np.arange(len(ACCURACY)), n)
    return Questions(rng.random(n) < np.array(ACCURACY)[domain], domain)


def draw_scores(rng: np.random.Generator, asked: Questions, auroc: float) -> Floats:
    """Draw scores [n] with this AUROC2 within domain, that know the domains besides."""
    apart = np.sqrt(2) * norm.ppf(auroc) * asked.correct
    known = 1.5 * np.array(ACCURACY)[asked.domain]
    return apart + known + rng.standard_normal(len(apart))


def draw_text(rng: np.random.Generator, asked: Questions, auroc: float) -> Floats:
    """Draw stated confidences [n]: steps of 0.05, a third of them at 0.95, some not parsed."""
    scores = draw_scores(rng, asked, auroc)
    ranks = np.argsort(np.argsort(scores)) / len(scores)
    stated = np.round(np.clip(0.4 + 0.85 * ranks, 0.4, 0.95) / 0.05) * 0.05
    return np.where(rng.random(len(scores)) < 0.02, np.nan, stated)


def table_world(
    seed: int, *, n: int, probe: float = 0.5, rival: float = 0.5, text: float = 0.5
) -> Mapping[str, Verdict]:
    """Judge states and text in one table, where each has this AUROC2 within domain."""
    rng = np.random.default_rng(seed)
    asked = draw_questions(rng, n)
    rivals = {
        "domain base rate": np.array(ACCURACY)[asked.domain],
        "question text": draw_scores(rng, asked, rival),
        "answer length": np.round(4 * rng.standard_normal(n) ** 2),
    }
    scores = draw_scores(rng, asked, probe)
    stated = draw_text(rng, asked, text)
    return {
        STATES: states_verdict(scores, asked.correct, asked.domain, rivals),
        TEXT: text_verdict(stated, asked.correct, asked.domain),
    }


def draw_spread(rng: np.random.Generator, asked: Questions) -> float:
    """Estimate the spread of trainings on shuffled targets, as a run does, from SHUFFLES probes on
    shuffled labels.
    """
    codes = np.unique(asked.domain, return_inverse=True)[1]
    variance = shuffled_variance(rng.random(len(codes)), asked.correct, codes)
    shuffled = 0.5 + np.sqrt(variance + SPREAD**2) * rng.standard_normal(SHUFFLES)
    return training_spread(shuffled, variance)


def teaching_world(seed: int, *, n: int, after: float | None = None) -> Mapping[str, Verdict]:
    """Judge teaching in one table; ``after`` is the taught text's AUROC2 within domain, None for a
    training on shuffled targets, whose chance has the spread SPREAD.
    """
    rng = np.random.default_rng(seed)
    asked = draw_questions(rng, n)
    chance = 0.5 + SPREAD * rng.standard_normal(2)
    taught = draw_text(rng, asked, float(chance[0]) if after is None else after)
    before, control = draw_text(rng, asked, BEFORE), draw_text(rng, asked, float(chance[1]))
    spread = draw_spread(rng, asked)
    found = teaching_verdict(taught, before, control, asked.correct, asked.domain, spread)
    return {TEACHING: found}


def sweep_world(
    seed: int, *, items: int, donors: float | None, follows: bool = True
) -> Mapping[str, Verdict]:
    """Judge cause and place in one sweep.

    Args:
        donors: AUROC2 within domain of the donors' readouts; None for trainings on shuffled
            targets.
        follows: whether the readout follows the donor; else donors are random vectors.
    """
    rng = np.random.default_rng(seed)
    evidence = draw_sweep(rng, items, donors, follows)
    cause = cause_verdict(evidence, resamples=RESAMPLES, seed=seed)
    return {CAUSE: cause, WHERE: where_verdict(evidence, cause, resamples=RESAMPLES, seed=seed)}


def true_slopes() -> Floats:
    """Return the slope on the donor after every layer: 1/2 between two layers, 1 after the last."""
    slopes = 1 / (1 + np.exp(-1.2 * (np.arange(LAYERS) - MIDDLE)))
    slopes[-1] = 1.0
    return slopes


def draw_sweep(
    rng: np.random.Generator, items: int, donors: float | None, follows: bool
) -> PatchingEvidence:
    """Draw the evidence of a sweep."""
    asked = draw_questions(rng, items)
    auroc = 0.5 + SPREAD * rng.standard_normal() if donors is None else donors
    tuned = 0.45 + 0.1 * draw_scores(rng, asked, auroc)
    base = 0.8 + 0.08 * rng.standard_normal(items)
    order = rng.permutation(items)
    partner = np.empty(items, dtype=np.int64)
    partner[order] = np.roll(order, 1)
    slopes, size = true_slopes(), np.linspace(0.01, 0.05, LAYERS)
    noise = rng.standard_t(4, (items, 1)) * size + 0.02 * rng.standard_normal((items, LAYERS))
    noise[:, -1] = 0
    own = tuned[partner]
    followed = base[:, None] * (1 - slopes) + own[:, None] * slopes + noise
    random = base[:, None] + 2 * rng.standard_t(4, (items, 1)) * size
    random += 0.03 * rng.standard_normal((items, LAYERS))
    layers = np.arange(LAYERS)
    spread = draw_spread(rng, draw_questions(rng, 200))
    return PatchingEvidence(
        DonorSweep(layers, base, own, followed if follows else random),
        DonorSweep(layers, base, tuned, random),
        asked.correct[partner],
        asked.domain[partner],
        spread,
        LAYERS - 1,
    )


def place_is_wrong(seed: int, *, items: int) -> bool | None:
    """Return whether the layers named in a planted sweep miss where the slope passes 1/2; None
    where none are named.
    """
    rng = np.random.default_rng(seed)
    evidence = draw_sweep(rng, items, 0.8, True)
    sweep = evidence.sweep
    band = slope_band(sweep, resamples=RESAMPLES, seed=seed, level=0.95)
    place = passing_layers(sweep.layers, band, evidence.last)
    return None if place is None else not place[0] < MIDDLE < place[1]
