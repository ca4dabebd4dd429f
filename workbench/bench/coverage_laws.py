"""Define laws of answers and of patching sweeps whose true measures are known, to draw tables from.

A law of answers is a mixture of kinds of questions: each has a domain, a share of right answers,
and for right and for wrong answers the probabilities of every step of two confidences. All measures
of the law itself are computed from its table of probabilities as ``PROPORTIONS`` answers in exact
proportion, so their error is that of rounding to one in four million. A law of sweeps gives the
readout after each layer as a line in the donor's and the base's own readouts, with slopes that
differ between questions and noise that runs on from layer to layer; its slopes, its shift and its
layer gradient are exact. Laws are no models: what they leave out (questions that depend on each
other, grading errors, another prompt) no study of them can show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from workbench.arrays import Bools, Floats
from workbench.measure.distinct_rows import Codes
from workbench.patch.effects import Sweep, spearman_rows

PROPORTIONS = 4_000_000
COARSE = np.arange(21) / 20
FINE = np.arange(2001) / 2000


@dataclass(frozen=True)
class DrawnAnswers:
    """A drawn table: two confidences [n] (0-1, NaN = unparsed), grades [n] and domains [n]."""

    first: Floats
    second: Floats
    correct: Bools
    domain: Codes


@dataclass(frozen=True)
class AnswerLaw:
    """A law of answers to k kinds of questions, with confidences on v ``levels``.

    Attributes:
        about: what the law is like, in words.
        share: [k] of the kind among all questions.
        domain: [k].
        accuracy: [k] share of right answers.
        first, second: [k, 2, v] probabilities of each level where the answer is wrong, and right.
        parsed: share of replies that could be parsed where the answer is wrong, and right.
    """

    about: str
    levels: Floats
    share: Floats
    domain: Codes
    accuracy: Floats
    first: Floats
    second: Floats
    parsed: tuple[float, float] = (1.0, 1.0)

    @cached_property
    def _running(self) -> tuple[Floats, Floats]:
        return np.cumsum(self.first, axis=2), np.cumsum(self.second, axis=2)

    def draw(self, n: int, rng: np.random.Generator) -> DrawnAnswers:
        """Draw the answers to ``n`` questions."""
        kind = rng.choice(len(self.share), size=n, p=self.share)
        correct = rng.random(n) < self.accuracy[kind]
        grade = correct.astype(np.int64)
        lost = rng.random(n) >= np.array(self.parsed)[grade]
        first, second = (
            self._levels_at(running, kind, grade, rng.random(n)) for running in self._running
        )
        return DrawnAnswers(np.where(lost, np.nan, first), second, correct, self.domain[kind])

    def _levels_at(self, running: Floats, kind: Codes, grade: Codes, place: Floats) -> Floats:
        """Return the level [n] at whose ``running`` probability each ``place`` [n] falls."""
        step = np.zeros(len(place), dtype=np.int64)
        for one in range(len(self.share)):
            for which in (0, 1):
                mine = (kind == one) & (grade == which)
                step[mine] = np.searchsorted(running[one, which], place[mine])
        return self.levels[np.minimum(step, len(self.levels) - 1)]

    def proportions(self, readout: Floats) -> tuple[Floats, Bools, Codes, Floats]:
        """Return the law's cells of one readout ([k, 2, v]): confidence, grade, domain and how many
        of ``PROPORTIONS`` answers fall in each. The cells of unparsed replies come last.
        """
        grades = np.stack([1 - self.accuracy, self.accuracy], axis=1) * self.share[:, None]
        parsed = np.array(self.parsed)
        whole = (grades * parsed)[:, :, None] * readout
        kinds, values = len(self.share), len(self.levels)
        confidence = np.r_[np.tile(self.levels, 2 * kinds), np.full(2 * kinds, np.nan)]
        right = np.r_[
            np.tile(np.repeat([False, True], values), kinds), np.tile([False, True], kinds)
        ]
        domain = np.r_[np.repeat(self.domain, 2 * values), np.repeat(self.domain, 2)]
        mass = np.r_[whole.ravel(), (grades * (1 - parsed)).ravel()]
        counts = np.round(mass * PROPORTIONS)
        held = counts > 0
        return confidence[held], right[held], domain[held], counts[held]


def _stated(levels: Floats, strength: float, middle: Floats, spread: float) -> Floats:
    """Return the probabilities [k, 2, v] of levels nearest to the normal distribution function of a
    signal: ``middle`` [k], plus or minus half of ``strength`` by grade, with noise of one.
    """
    edges = np.r_[-np.inf, (levels[1:] + levels[:-1]) / 2, np.inf]
    # A confidence of ndtr(spread * signal) lies below an edge where the signal does.
    from_edge = np.r_[-np.inf, _quantile(edges[1:-1]) / spread, np.inf]
    centre = middle[:, None] + strength * np.array([-0.5, 0.5])
    below = ndtr(from_edge - centre[:, :, None])
    return np.diff(below, axis=2)


def _quantile(p: Floats) -> Floats:
    from scipy.special import ndtri

    return np.asarray(ndtri(p), dtype=np.float64)


def signal_law(
    about: str,
    *,
    strength: float,
    second: float,
    domains: int,
    levels: Floats = COARSE,
    parsed: tuple[float, float] = (1.0, 1.0),
) -> AnswerLaw:
    """Build the law of a confidence that hears the grade with ``strength`` (distance of right and
    wrong in noise), in ``domains`` domains of accuracies from 0.3 to 0.9, each of easy and hard
    questions; the second confidence hears it with strength ``second``.

    Both are too sure of hard questions: the signal's middle moves with difficulty by less than
    accuracy does.
    """
    base = np.repeat(np.linspace(0.3, 0.9, domains), 2)
    easier = np.tile([-0.1, 0.1], domains)
    middle = 0.5 + 1.0 * (base - 0.6) + 2 * easier
    return AnswerLaw(
        about=about,
        levels=levels,
        share=np.full(2 * domains, 1 / (2 * domains)),
        domain=np.repeat(np.arange(domains), 2),
        accuracy=base + easier,
        first=_stated(levels, strength, middle, 0.8),
        second=_stated(levels, second, middle, 0.8),
        parsed=parsed,
    )


def ceiling_law(about: str, shares: Mapping[float, tuple[float, float]]) -> AnswerLaw:
    """Build the law of a model that says few values: ``shares`` gives the share of each among wrong
    and among right answers, in six domains of accuracies from 0.3 to 0.9. The second confidence
    is one of middling strength.
    """
    like = signal_law(about, strength=0.5, second=0.8, domains=6)
    stated = np.zeros((2, len(COARSE)))
    for value, by_grade in shares.items():
        stated[:, np.argmin(np.abs(COARSE - value))] = by_grade
    first = np.broadcast_to(stated, like.first.shape).copy()
    return AnswerLaw(about, COARSE, like.share, like.domain, like.accuracy, first, like.second)


def calibrated_law(about: str) -> AnswerLaw:
    """Build the law of a confidence that is right as often as it says: its calibration error is
    zero. Its domain says nothing; the second confidence is the same one mixed with noise.
    """
    share = np.exp(-(((COARSE - 0.65) / 0.25) ** 2) / 2)
    share /= share.sum()
    exact = np.eye(len(COARSE))
    noisy = 0.6 * exact + 0.4 * share
    twice = 2 * len(COARSE)
    return AnswerLaw(
        about=about,
        levels=COARSE,
        share=np.repeat(share, 2) / 2,
        domain=np.tile([0, 1], len(COARSE)),
        accuracy=np.repeat(COARSE, 2),
        first=np.repeat(exact, 2, axis=0)[:, None].repeat(2, axis=1).reshape(twice, 2, -1),
        second=np.repeat(noisy, 2, axis=0)[:, None].repeat(2, axis=1).reshape(twice, 2, -1),
    )


ANSWER_LAWS: Mapping[str, AnswerLaw] = {
    "weak": signal_law("weak confidence, six domains", strength=0.3, second=0.5, domains=6),
    "strong": signal_law("strong confidence, six domains", strength=1.8, second=1.0, domains=6),
    "two_domains": signal_law("middling, two domains", strength=0.8, second=0.4, domains=2),
    "many_domains": signal_law("middling, sixteen domains", strength=0.8, second=0.4, domains=16),
    "fine": signal_law("middling, hardly a tie", strength=0.8, second=1.2, domains=6, levels=FINE),
    "unparsed": signal_law(
        "middling, a quarter of wrong and a tenth of right replies unparsed",
        strength=0.8,
        second=0.4,
        domains=6,
        parsed=(0.75, 0.9),
    ),
    "ceiling": ceiling_law(
        "says 95 mostly, else 80 or 100", {0.95: (0.85, 0.85), 0.8: (0.11, 0.04), 1.0: (0.04, 0.11)}
    ),
    "constant": ceiling_law(
        "says 95 but once in a hundred", {0.95: (0.985, 0.995), 0.5: (0.015, 0.005)}
    ),
    "calibrated": calibrated_law("right as often as it says"),
}


@dataclass(frozen=True)
class SweepLaw:
    """A law of patching sweeps: after layer l the readout is ``level`` + ``donor`` x the donor's +
    ``base`` x the base's own readout, each [layers].

    Attributes:
        about: what the law is like, in words.
        unequal: standard deviation between questions of the factor on the donor's slope.
        noise: standard deviation of a step of the noise that runs from layer to layer.
    """

    about: str
    level: Floats
    donor: Floats
    base: Floats
    unequal: float
    noise: float
    mean_base: float = 0.8
    mean_donor: float = 0.45
    spread_base: float = 0.1
    spread_donor: float = 0.2

    @property
    def layers(self) -> NDArray[np.int64]:
        return np.arange(len(self.level))

    def draw(self, items: int, rng: np.random.Generator) -> Sweep:
        """Draw the sweep of ``items`` questions. Donor and base agree a little (0.3), and noise of
        the last layers is as large as their slope, so that nothing is exactly donor.
        """
        common, own, other = rng.normal(size=(3, items))
        base = self.mean_base + self.spread_base * own
        donor = self.mean_donor + self.spread_donor * (0.3 * own + np.sqrt(0.91) * other)
        factor = 1 + self.unequal * common
        noise = self.noise * np.cumsum(
            rng.normal(size=(items, len(self.level))) * np.sqrt(np.abs(self.donor) + 0.01), axis=1
        )
        patched = (
            self.level + (factor * donor)[:, None] * self.donor + base[:, None] * self.base + noise
        )
        return Sweep(self.layers, base, donor, patched)

    @property
    def shift(self) -> Floats:
        """The ratio of means per layer."""
        mean = self.level + self.donor * self.mean_donor + self.base * self.mean_base
        return (mean - self.mean_base) / (self.mean_donor - self.mean_base)

    @property
    def gradient(self) -> float:
        """Spearman's rho of layer and shift."""
        return float(spearman_rows(self.layers, self.shift[None])[0])


def _rise(layers: int, middle: float, width: float) -> Floats:
    return np.asarray(1 / (1 + np.exp(-(np.arange(layers) - middle) / width)), dtype=np.float64)


def _sweep_law(about: str, curve: Floats, *, noise: float) -> SweepLaw:
    """Build the law whose donor slope is ``curve`` and whose base slope is what is left of one."""
    return SweepLaw(about, np.zeros(len(curve)), curve, 1 - curve, unequal=0.2, noise=noise)


SWEEP_LAWS: Mapping[str, SweepLaw] = {
    "slow_rise": _sweep_law("rises over all 24 layers", _rise(24, 12, 4), noise=0.04),
    "sharp_rise": _sweep_law(
        "nothing early, all late, sharp between", _rise(24, 14, 1), noise=0.04
    ),
    "overshoot": _sweep_law(
        "rises above one and falls back",
        _rise(24, 10, 2) * (1 + 0.6 * np.exp(-(((np.arange(24) - 16) / 3) ** 2))),
        noise=0.08,
    ),
    "nothing": _sweep_law("no layer does anything", np.zeros(24), noise=0.04),
}
