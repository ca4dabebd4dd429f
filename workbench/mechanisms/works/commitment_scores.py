"""Measure what two confidences tell of two outcomes: whether the answer is right, and whether the
model commits to it; and simulate such questions.

The confidences are the reported one (its expectation, and the number as stated) and the answer's
likelihood. The model commits where its P(commit), the mean over both orders of the options, lies
above a threshold that looks at no grade. AUROC2 is within domain; residuals are cross-fitted, with
slopes within domains (:mod:`workbench.measure.residual`). Sign: a difference is commitment minus
correctness, so positive where a score tells commitment better.

An outcome of the model's own making is told without the noise of grading, and both confidences may
tell it better for that alone: only the difference of differences (``dissociation``) is free of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from workbench.arrays import Bools, Floats, Rows
from workbench.measure import Bootstrap, auroc2_within, bootstrap, variance_partition
from workbench.measure.bootstrap import bootstrap_counts
from workbench.measure.cross_fit import folds_of
from workbench.measure.discrimination import Auroc2Within
from workbench.measure.distance import minus
from workbench.measure.inputs import checked_domain
from workbench.measure.interval import Estimate, summarise_null
from workbench.measure.residual import ResidualAuroc2
from workbench.measure.weighted import CountStatistic
from workbench.measure.within_groups import shuffle_rows_within
from workbench.mechanisms.outcomes import Estimates

EXPECTED, STATED, LIKELIHOOD = SCORES = ("expected", "stated", "likelihood")
COMMIT, CORRECT = OUTCOMES = ("commit", "correct")
LABELS: Mapping[str, str] = {
    EXPECTED: "expected confidence",
    STATED: "stated confidence",
    LIKELIHOOD: "likelihood of the answer",
}
SHUFFLES = 40
LEAST = 1e-12
"""Probabilities are not told apart from 0 and 1 below this."""
FEWEST_EITHER = 0.1
"""The share of answers that must be passed, and given, for one half to be the threshold."""


@dataclass(frozen=True, eq=False)
class Committed:
    """The held-out questions of a model, [n] each.

    Attributes:
        expected, stated: reported confidence, on 0-1; NaN where a reply states none.
        likelihood: mean log-probability of the answer's tokens.
        shown, swapped: P(commit) with the option to commit named first, and last.
        correct: whether the answer is right.
        domain: domains.
    """

    expected: Floats
    stated: Floats
    likelihood: Floats
    shown: Floats
    swapped: Floats
    correct: Bools
    domain: np.ndarray

    @property
    def p_commit(self) -> Floats:
        """P(commit), the mean over both orders."""
        return (self.shown + self.swapped) / 2

    @property
    def threshold(self) -> float:
        """The P(commit) above which the model commits: one half, or the median where hardly any
        question lies on one side of one half.
        """
        above = float((self.p_commit > 0.5).mean())
        either = FEWEST_EITHER <= above <= 1 - FEWEST_EITHER
        return 0.5 if either else float(np.median(self.p_commit))

    @property
    def commits(self) -> Bools:
        return np.asarray(self.p_commit > self.threshold)


def measure_scores(questions: Committed, draw: Bootstrap, seed: int = 0) -> dict[str, Estimate]:
    """Return every quantity of the scores."""
    codes = checked_domain(questions.domain, len(questions.correct))
    outcome = {COMMIT: questions.commits, CORRECT: questions.correct}
    scores = {name: getattr(questions, name) for name in SCORES}
    found = _raw(scores, outcome, codes, draw)
    both = {EXPECTED: LIKELIHOOD, LIKELIHOOD: EXPECTED}
    fold = folds_of(len(codes))
    residual: dict[str, CountStatistic] = {
        f"{name}_{what}_residual": ResidualAuroc2(scores[name], scores[given], held, fold, codes)
        for name, given in both.items()
        for what, held in outcome.items()
    }
    found |= bootstrap_counts(residual, len(codes), strata=codes, **draw.options)
    targets = {
        COMMIT: log_odds(questions.p_commit),
        CORRECT: questions.correct.astype(np.float64),
    }
    for what, values in targets.items():
        if np.ptp(values) == 0:
            continue
        parts = variance_partition(values, {name: scores[name] for name in both}, draw)
        found |= {f"{name}_unique_{what}": part.unique for name, part in parts.parts.items()}
    found["order_agreement"] = bootstrap(
        _rank_correlation,
        _within(questions.shown, codes),
        _within(questions.swapped, codes),
        **draw.options,
    )
    found["p_commit"] = bootstrap(np.mean, questions.p_commit, **draw.options)
    found["shuffled_commit"] = _shuffled(scores[EXPECTED], outcome[COMMIT], codes, seed)
    return found


def log_odds(probability: Floats) -> Floats:
    """Return the log-odds of ``probability`` [...], which may have been rounded to 0 or 1."""
    held = np.clip(probability, LEAST, 1 - LEAST)
    return np.asarray(np.log(held) - np.log1p(-held))


def _raw(
    scores: Mapping[str, Floats], outcome: Mapping[str, Bools], codes: Rows, draw: Bootstrap
) -> dict[str, Estimate]:
    raw: dict[str, CountStatistic] = {
        f"{name}_{what}": Auroc2Within(values, held, codes)
        for name, values in scores.items()
        for what, held in outcome.items()
    }
    gap = {
        name: minus(raw[f"{name}_{COMMIT}"], raw[f"{name}_{CORRECT}"])
        for name in (EXPECTED, LIKELIHOOD)
    }
    raw |= {f"{name}_commit_minus_correct": each for name, each in gap.items()}
    raw["dissociation"] = minus(gap[EXPECTED], gap[LIKELIHOOD])
    return bootstrap_counts(raw, len(codes), strata=codes, **draw.options)


def _within(values: Floats, codes: Rows) -> Floats:
    """Return the ranks of ``values`` [n] within their domain, from 0 to 1."""
    out = np.empty(len(values))
    for code in np.unique(codes):
        rows = codes == code
        out[rows] = rankdata(values[rows]) / (rows.sum() + 1)
    return out


def _rank_correlation(first: Floats, second: Floats) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _shuffled(score: Floats, commits: Bools, codes: Rows, seed: int) -> Estimate:
    """Return the mean over shuffles of the outcome within domain, and where 95 % of them lie."""
    rng, values = np.random.default_rng(seed), []
    for _ in range(SHUFFLES):
        mixed = commits[shuffle_rows_within(codes, rng)]
        values.append(auroc2_within(score, mixed, codes))
    return summarise_null(values, len(score))


@dataclass(frozen=True)
class Law:
    """How a simulated world makes questions: an answer's evidence and the model's readiness to
    commit are standard normal; the likelihood and the grade hear the evidence, the reported
    confidence and the choice hear each by a weight.
    """

    confidence_evidence: float = 0.0
    confidence_readiness: float = 0.0
    commit_evidence: float = 0.0
    commit_readiness: float = 1.0


DOMAINS = 4
DRAWS = 60


def simulate(rng: np.random.Generator, questions: int, *, law: Law) -> Estimates:
    """Draw the questions of one world and measure them."""
    evidence, readiness, *noise = rng.standard_normal((7, questions))
    leaning = law.commit_evidence * evidence + law.commit_readiness * readiness
    confidence = (
        law.confidence_evidence * evidence + law.confidence_readiness * readiness + noise[0]
    )
    shown, swapped = (1 / (1 + np.exp(-leaning - 0.3 * each)) for each in noise[1:3])
    stated = 1 / (1 + np.exp(-confidence))
    return measure_scores(
        Committed(
            expected=stated,
            stated=np.round(stated, 1),
            likelihood=evidence + 0.3 * noise[3],
            shown=shown,
            swapped=swapped,
            correct=evidence + noise[4] > 0,
            domain=np.resize(np.arange(DOMAINS), questions),
        ),
        Bootstrap(DRAWS, 0),
    )
