"""Measure how the two confidences correlate: rho of every prompt and readout, and what is needed to
read it.

Reported with rho and its interval are parse rate, ceiling share, AUROC2 of both confidences (pooled
and within domain), and the four cells with the stated side cut at its top step and at its median.
There are two nulls: rho of shuffled pairs, and of pairs shuffled within their domain, which is what
knowing how hard the domain is gives by itself. Accuracy is reported with chance, and letters with
how often they are right: a model that answers at chance has no internal confidence worth aligning
with, and one that prefers a letter has a high one for no reason.

A text between two steps ("99.99" on a scale from 1 to 100) counts as the nearest step, so that ways
to write the same do not count as an order. Sign: above zero, what is stated rises with P_IC. None
of it says that a confidence is right in level.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.config import RunConfig
from workbench.elicit.formats import format_named
from workbench.experiments.confidence_alignment.read import EIGHT, FULL, Combination, Confidences
from workbench.measure import (
    Alignment,
    Estimate,
    alignment,
    auroc2_estimate,
    auroc2_within_estimate,
    four_cells,
    shuffled_spearman,
    wilson_interval,
)
from workbench.measure.alignment import Split

READOUTS = ("stated", "expected")
"""The generated text, and the mean of the exact distribution over the scale."""


@dataclass(frozen=True)
class Aligned:
    """The alignment of one prompt and readout over all questions.

    Attributes:
        within: AUROC2 within domain of the internal and of the stated confidence.
        shuffled: rho of shuffled pairs; ``shuffled_within`` of pairs shuffled within their domain.
        mass: mean probability of the whole scale.
        cells: shares of the four cells with the stated side cut at the top step and at the median.
    """

    combination: Combination
    readout: str
    measured: Alignment
    within: tuple[Estimate, Estimate]
    shuffled: Estimate
    shuffled_within: Estimate
    mass: float
    cells: dict[Split, dict[str, float]]

    def line(self) -> dict[str, Any]:
        """Return the alignment as a line of a table."""
        each = self.combination
        measured = self.measured
        return {
            "format": each.format,
            "scale": each.scale,
            "voice": each.voice,
            "options_shown": each.options,
            "readout": self.readout,
            "questions": measured.rho.n,
            **measured.rho.to_dict("rho"),
            "parse_rate": measured.parse_rate,
            "ceiling_share": measured.ceiling_share,
            "mass": self.mass,
            **measured.auroc2_internal.to_dict("auroc2.internal"),
            **measured.auroc2_stated.to_dict("auroc2.stated"),
            **self.within[0].to_dict("auroc2.internal.within"),
            **self.within[1].to_dict("auroc2.stated.within"),
            **self.shuffled.to_dict("rho.shuffled"),
            **self.shuffled_within.to_dict("rho.shuffled_within"),
            **{
                f"cells.{split}.{cell}": share
                for split, cells in self.cells.items()
                for cell, share in cells.items()
            },
        }


@dataclass(frozen=True)
class ChoiceAccuracy:
    """The accuracy of the most probable option, with its Wilson interval, and that of guessing."""

    accuracy: Estimate
    chance: float
    reply: Estimate
    same_letter: float

    @property
    def words(self) -> str:
        """The comparison of the interval with chance, in words."""
        low, high = self.accuracy.low, self.accuracy.high
        shown = (
            f"{100 * self.accuracy.value:.0f} % [{100 * low:.0f}, {100 * high:.0f}] of answers are "
            "right"
        )
        chance = f"guessing gives {100 * self.chance:.0f} %"
        if low > self.chance:
            return f"{shown}; {chance}, so the answers are better than guessing."
        if high < self.chance:
            return f"{shown}; {chance}, so the answers are worse than guessing."
        return (
            f"{shown}; {chance}. The interval holds chance: these answers cannot be told from "
            "guesses, and nothing here shows that "
            "the internal confidence is about knowledge."
        )


@dataclass(frozen=True)
class LetterShare:
    """The statistics of one letter: how often it is right, chosen, and its mean share of P_O, over
    the ``n`` questions that offer it.
    """

    letter: str
    n: int
    right: Estimate
    chosen: Estimate
    weight: float


@dataclass(frozen=True)
class AlignmentResults:
    """All results: ``found`` holds the readouts of each of the eight combinations and of the full
    prompt.
    """

    confidences: Confidences
    config: RunConfig
    found: tuple[Aligned, ...]
    internal: Estimate
    internal_within: Estimate
    answers: ChoiceAccuracy
    letters: tuple[LetterShare, ...]

    def of(self, combination: Combination, readout: str) -> Aligned:
        """Return the row of this prompt and readout."""
        return next(
            row for row in self.found if (row.combination, row.readout) == (combination, readout)
        )

    def table(self) -> pd.DataFrame:
        """Return one line per prompt and readout."""
        return pd.DataFrame([row.line() for row in self.found])


def measure_alignment(
    confidences: Confidences, config: RunConfig, *, resamples: int, seed: int
) -> AlignmentResults:
    """Measure everything from what was read with the settings ``config``."""
    internal = confidences.internal["p_ic"].to_numpy(dtype=np.float64)
    correct = confidences.internal["correct"].to_numpy(dtype=bool)
    return AlignmentResults(
        confidences,
        config,
        tuple(
            _aligned(confidences, each, readout, resamples=resamples, seed=seed)
            for each in (*EIGHT, FULL)
            for readout in READOUTS
        ),
        auroc2_estimate(internal, correct, resamples=resamples, seed=seed),
        auroc2_within_estimate(
            internal, correct, confidences.domain, resamples=resamples, seed=seed
        ),
        choice_accuracy(confidences),
        letter_shares(confidences),
    )


def stated_of(confidences: Confidences, combination: Combination, readout: str) -> Floats:
    """Return one readout [rows] of one prompt, as shares of certainty, NaN where the text states
    nothing on the scale.
    """
    values = _lines(confidences, combination)[readout].to_numpy(dtype=np.float64)
    return (
        values
        if readout == "expected"
        else to_steps(values, format_named(combination.format).scale.shares)
    )


def to_steps(values: Floats, steps: Sequence[float]) -> Floats:
    """Round ``values`` [n] to the nearest of the rising ``steps``, NaN kept; halfway counts
    upwards.
    """
    at = np.asarray(steps, dtype=np.float64)
    nearest = at[np.searchsorted((at[1:] + at[:-1]) / 2, values, side="right")]
    return np.where(np.isnan(values), np.nan, nearest)


def _lines(confidences: Confidences, combination: Combination) -> pd.DataFrame:
    table = confidences.stated
    return table[table["format"] == combination.format].sort_values("row")


def _aligned(
    confidences: Confidences, combination: Combination, readout: str, *, resamples: int, seed: int
) -> Aligned:
    internal = confidences.internal["p_ic"].to_numpy(dtype=np.float64)
    correct = confidences.internal["correct"].to_numpy(dtype=bool)
    domain, stated = confidences.domain, stated_of(confidences, combination, readout)
    neither = np.isnan(internal) | np.isnan(stated)

    def within(confidence: Floats) -> Estimate:
        both = np.where(neither, np.nan, confidence)
        return auroc2_within_estimate(both, correct, domain, seed=seed, resamples=resamples)

    return Aligned(
        combination,
        readout,
        alignment(internal, stated, correct, seed=seed, ceiling=1.0, resamples=resamples),
        (within(internal), within(stated)),
        shuffled_spearman(internal, stated, seed=seed),
        shuffled_spearman(internal, stated, domain, seed=seed),
        float(_lines(confidences, combination)["mass"].mean()),
        {
            split: four_cells(internal, stated, internal_split="median", stated_split=split)
            for split in reversed(get_args(Split))
        },
    )


def choice_accuracy(confidences: Confidences) -> ChoiceAccuracy:
    """Return the accuracy of the most probable options and of the greedy replies that could be
    graded, chance, and how often the two name the same letter.
    """
    table = confidences.internal
    chance = confidences.options.groupby("row")["right"].mean().mean()
    return ChoiceAccuracy(
        _share(int(table["correct"].sum()), len(table)),
        float(chance),
        _share(int(table["reply_correct"].sum()), int(table["reply_correct"].notna().sum())),
        float((table["letter"] == table["reply_letter"]).mean()),
    )


def letter_shares(confidences: Confidences) -> tuple[LetterShare, ...]:
    """Return the statistics of every letter: right, chosen and weight."""
    options = confidences.options
    weight = options["probability"] / options.groupby("row")["probability"].transform("sum")
    chosen = Counter(confidences.internal["letter"])
    return tuple(
        LetterShare(
            str(letter),
            len(lines),
            _share(int(lines["right"].sum()), len(lines)),
            _share(chosen[str(letter)], len(lines)),
            float(weight[lines.index].mean()),
        )
        for letter, lines in options.groupby("letter")
    )


def _share(hits: int, n: int) -> Estimate:
    low, high = (float(bound) for bound in wilson_interval(hits, n))
    return Estimate(hits / n, low, high, n)
