"""Ablate sets of the ceiling's writers together, and measure what is left of the ceiling.

Sets are chosen on other questions than those they are tested on, and beside each stand random sets
of equal size (:mod:`workbench.bottleneck.writer_sets`). Every writer of a set is given its
reference (:mod:`workbench.bottleneck.ceiling_writers`) at all tokens a number is read from, and the
whole distribution over the scale is read again, packed, one branch a set.

Signs: ``removed`` is the margin before minus after, in nats, positive where the set wrote the
ceiling. ``p`` is the rank of the chosen set among the random ones: (1 + how many removed as much) /
(1 + how many there are), so with 20 random sets it is at least 1 / 21. Intervals are over tested
questions, for these sets.

What it does not show: a set that is removed may be made up for by others, and a reference is a
state the model may never have had together with the rest. Where all answers are then given one
other value, the text's AUROC2 is 1/2: a gain up to there is a lost error, no gained signal. That
the text tells right from wrong no better without the ceiling's writers does not show that nothing
could be told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.bottleneck.ceiling import Ceiling, margin_of
from workbench.bottleneck.ceiling_writers import Reference, ablation_branch
from workbench.bottleneck.writer_sets import WriterSet
from workbench.elicit.readout import expected_confidence
from workbench.elicit.trie import ScaleTrie
from workbench.measure import (
    Bootstrap,
    Estimate,
    auroc2_difference,
    auroc2_within,
    auroc2_within_estimate,
    bootstrap,
)
from workbench.patch.inputs import ModelInputs
from workbench.patch.written_confidence import read_written
from workbench.trace.backends import PACKED, Engine
from workbench.trace.sites import Site


def ablate_sets(
    inputs: ModelInputs,
    writers: Sequence[Site],
    sets: Sequence[WriterSet],
    reference: Reference,
    trie: ScaleTrie,
    *,
    tokens_per_forward: int,
    engine: Engine = PACKED,
) -> Floats:
    """Return the distributions over the scale [rows, 1 + sets, values], first of the model as it
    is, then with every set ablated.

    Args:
        inputs: at the positions a number is read from.
    """
    lm = inputs.lm
    branches = [
        ablation_branch(lm, [writers[at] for at in chosen], reference, inputs.positions)
        for chosen in sets
    ]
    with inputs.within():
        return read_written(
            lm,
            inputs.prompts,
            trie,
            branches,
            tokens_per_forward=tokens_per_forward,
            engine=engine,
        ).distribution


@dataclass(frozen=True, eq=False)
class Dose:
    """What is left with a set's writers ablated, beside random sets of equal size.

    Attributes:
        removed: how much of the margin is gone, in nats.
        margin: the mean margin that is left.
        expected: the mean expected confidence, as a share of certainty.
        changed: share of answers whose most probable value is another.
        mass: mean probability of the whole scale: where it falls, the model no longer writes
            numbers, and what it would write says little of the ceiling.
        random_removed, random_expected, random_changed, random_mass: [random sets] the same means.
        p: rank of ``removed`` among the random ones.
    """

    size: int
    removed: Estimate
    margin: Estimate
    expected: Estimate
    changed: Estimate
    mass: Estimate
    random_removed: Floats
    random_expected: Floats
    random_changed: Floats
    random_mass: Floats
    p: float


def measure_dose(
    size: int,
    before: Floats,
    ablated: Floats,
    at_random: Floats,
    ceiling: Ceiling,
    shares: Floats,
    draw: Bootstrap,
) -> Dose:
    """Measure a set from distributions over the scale of tested questions.

    Args:
        before, ablated: [n, values] as they are, and with the set ablated.
        at_random: [n, random sets, values] with each random set ablated.
        shares: [values] how certain every value of the scale is.
    """
    margin, left = margin_of(before, ceiling), margin_of(ablated, ceiling)
    other = margin[:, None] - margin_of(at_random, ceiling)
    first = before.argmax(axis=-1)
    changed = ablated.argmax(axis=-1) != first
    removed = bootstrap(np.mean, margin - left, **draw.options)
    random_removed = other.mean(axis=0)
    return Dose(
        size,
        removed,
        bootstrap(np.mean, left, **draw.options),
        bootstrap(np.mean, _expected(ablated, shares), **draw.options),
        bootstrap(np.mean, changed, **draw.options),
        bootstrap(np.mean, ablated.sum(axis=-1), **draw.options),
        random_removed,
        _expected(at_random, shares).mean(axis=0),
        (at_random.argmax(axis=-1) != first[:, None]).mean(axis=0),
        at_random.sum(axis=-1).mean(axis=0),
        rank_p(removed.value, random_removed),
    )


@dataclass(frozen=True, eq=False)
class Discrimination:
    """AUROC2 within domain of the text and of the expected confidence with a set ablated.

    Attributes:
        text, expected: of the ablated model.
        text_gain, expected_gain: more than of the model as it is, paired.
        random_text, random_expected: [random sets] with sets of ``random_size`` ablated.
        text_p, expected_p: ranks among them, where the sizes are equal; else NaN.
    """

    size: int
    random_size: int
    text: Estimate
    expected: Estimate
    text_gain: Estimate
    expected_gain: Estimate
    random_text: Floats
    random_expected: Floats
    text_p: float
    expected_p: float


def measure_discrimination(
    sizes: Mapping[int, Floats],
    before: Floats,
    at_random: Floats,
    random_size: int,
    shares: Floats,
    correct: Bools,
    domain: np.ndarray,
    draw: Bootstrap,
) -> tuple[Discrimination, ...]:
    """Measure, for sets of every size, whether the text tells once they are ablated.

    Args:
        sizes: distributions [n, values] with a set ablated, by its size.
        before: [n, values] as they are.
        at_random: [n, random sets, values], with sets of ``random_size`` ablated.
        correct, domain: [n] grades and domains.
    """
    read = {"text": _text, "expected": _expected}
    now = {name: reading(before, shares) for name, reading in read.items()}
    null = {
        name: np.array(
            [auroc2_within(each, correct, domain) for each in reading(at_random, shares).T]
        )
        for name, reading in read.items()
    }
    out = []
    for size, ablated in sizes.items():
        scores = {name: reading(ablated, shares) for name, reading in read.items()}
        value = {
            name: auroc2_within_estimate(score, correct, domain, **draw.options)
            for name, score in scores.items()
        }
        gain = {
            name: auroc2_difference(score, now[name], correct, domain, **draw.options)
            for name, score in scores.items()
        }
        p = {
            name: rank_p(value[name].value, null[name]) if size == random_size else np.nan
            for name in read
        }
        out.append(
            Discrimination(
                size,
                random_size,
                value["text"],
                value["expected"],
                gain["text"],
                gain["expected"],
                null["text"],
                null["expected"],
                p["text"],
                p["expected"],
            )
        )
    return tuple(out)


def _expected(distribution: Floats, shares: Floats) -> Floats:
    out: Floats = expected_confidence(distribution, shares.tolist(), 1.0).astype(np.float64)
    return out


def _text(distribution: Floats, shares: Floats) -> Floats:
    out: Floats = shares[distribution.argmax(axis=-1)]
    return out


def rank_p(value: float, null: Floats) -> float:
    """Return the share of ``null`` [n] and ``value`` itself that are at least ``value``."""
    return float((1 + (null >= value).sum()) / (1 + len(null)))
