"""Say in words what the numbers of a run bear out, each verdict by a written rule.

A verdict is a list of checks. It *holds* where all of them pass, *does not* where one is refuted,
and is *not clear* else. All must pass, so each may be tested at its own level and the verdict errs
no more often than its strictest check. A check passes at one-sided 2.5 %, the level of a 95 %
interval.

Which quantity tests which claim:

- knowledge is AUROC2 *within domain*: knowing which domains are hard is not knowing one's answer;
- the null of held-out scores that were fixed beforehand is shuffled grades, within domain;
- the null of anything a training made is a training on shuffled targets, which tells right from
  wrong by chance more often than shuffled grades do (``spread``, see
  :mod:`workbench.measure.within_test`);
- a state causes a readout if it carries *another* question's; a mean shift is only a level. After
  the last layer the state is the readout, so that layer counts for nothing;
- many layers are looked at, so p-values and bands hold for all of them together.

The verdicts on patching are reached in :mod:`workbench.measure.patching_verdicts`.

The error rates are measured (``workbench bench verdicts``). What a verdict does not show: anything
about other models, prompts and question sets, and that something absent would not be found by a
better probe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.measure.delong import delong_within, delong_within_difference
from workbench.measure.interval import Estimate
from workbench.measure.within_test import WithinTest, within_test

Outcome = Literal["holds", "does not hold", "not clear"]
NOT_CLEAR: Final = "not clear"
ALPHA = 0.025
SMALL = 0.05
"""An AUROC2 that surely lies less than this above one half, or a gain less than this, refutes."""
HALF = 0.5
STATES, TEXT, TEACHING, CAUSE, WHERE = NAMES = ("states", "text", "teaching", "cause", "where")


@dataclass(frozen=True)
class Check:
    """One condition of a rule.

    Attributes:
        name: what is compared, in words.
        value: the number with its interval, NaN bounds where it has none.
        p: one-sided, NaN where the interval decides.
    """

    name: str
    value: Estimate
    p: float
    passed: bool
    refuted: bool

    def __str__(self) -> str:
        """Return the check in words, ``probe within domain 0.71 [0.63, 0.79], p 0.001``; without a
        number only whether it passed.
        """
        if np.isnan(self.value.value):
            return f"{self.name}: {'yes' if self.passed else 'no'}"
        tail = "" if np.isnan(self.p) else f", p {self.p:.2g}"
        return f"{self.name} {self.value:.2f}{tail}"


@dataclass(frozen=True)
class Verdict:
    """A claim with its outcome.

    Attributes:
        name: one of NAMES.
        outcome: whether it holds.
        sentence: what is claimed, or denied, in words.
        rule: how the outcome was reached.
        checks: the numbers it rests on.
    """

    name: str
    outcome: Outcome
    sentence: str
    rule: str
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        return self.outcome == "holds"


@dataclass(frozen=True)
class Claim:
    """A verdict's words: its rule, and a sentence for each outcome."""

    rule: str
    holds: str
    fails: str
    unclear: str


CLAIMS: Mapping[str, Claim] = {
    STATES: Claim(
        "AUROC2 within domain of the probe on held-out questions is above 1/2 against shuffled "
        "grades, and above that of every rival, paired",
        "The hidden states carry whether the answer is right, beyond every rival that sees no "
        "states.",
        "The hidden states carry nothing of whether the answer is right that a rival lacks.",
        "Whether the hidden states carry more than their rivals is not clear.",
    ),
    TEXT: Claim(
        "AUROC2 within domain of the stated confidence is above 1/2 against shuffled grades",
        "The text says which answers are right.",
        "The text does not say which answers are right.",
        "Whether the text says which answers are right is not clear.",
    ),
    TEACHING: Claim(
        "AUROC2 within domain of the text after teaching is above what trainings on shuffled "
        "targets reach by chance, above that before, and above the shuffled control's, paired",
        "Teaching made the text say which answers are right.",
        "Teaching did not make the text say which answers are right.",
        "Whether teaching made the text say it is not clear.",
    ),
    CAUSE: Claim(
        "with donors from other questions, at some layer before the last, corrected for all "
        "layers, the readout follows the donor's more than with a random vector; and where it does "
        "so most clearly it tells whether the donor's answer is right, more than trainings on "
        "shuffled targets do",
        "The state at the confidence position causes what is said: put into another question, it "
        "carries its own question's knowledge along.",
        "The state at the confidence position does not carry its question's knowledge along.",
        "Whether the state at the confidence position causes what is said is not clear.",
    ),
    WHERE: Claim(
        "the state is a cause, and a band for all layers together has the donor slope below 1/2 up "
        "to one layer and above 1/2 from another on, before the last",
        "The readout passes to that state {place}.",
        "There is no layer where the readout passes to that state.",
        "Where the readout passes to that state is not clear.",
    ),
}


def decide(name: str, checks: Iterator[Check] | tuple[Check, ...], place: str = "") -> Verdict:
    """Return the verdict ``name`` on these checks."""
    each, claim = tuple(checks), CLAIMS[name]
    if each and all(check.passed for check in each):
        return Verdict(name, "holds", claim.holds.format(place=place), claim.rule, each)
    if any(check.refuted for check in each):
        return Verdict(name, "does not hold", claim.fails, claim.rule, each)
    return Verdict(name, NOT_CLEAR, claim.unclear, claim.rule, each)


def above_half(name: str, test: WithinTest, interval: Estimate) -> Check:
    """Check that scores tell right from wrong; refuted where they surely do so by less than
    SMALL.
    """
    passed = test.p <= ALPHA and test.z > 0
    return Check(name, interval, test.p, passed, bool(interval.high < HALF + SMALL))


def above_other(name: str, difference: Estimate, least: float = 0.0) -> Check:
    """Check that a paired difference is above 0; refuted where it surely is below ``least``."""
    low, high = bool(difference.low > 0), bool(difference.high < least)
    return Check(name, difference, float("nan"), low, high and not low)


def states_verdict(
    probe: Floats, correct: Bools, domain: np.ndarray, rivals: Mapping[str, Floats]
) -> Verdict:
    """Judge whether the states carry it, from the probe's held-out probabilities [n] at the site
    that was chosen on training questions, and the scores [n] of rivals by name.
    """
    first = above_half(
        "probe within domain",
        within_test(probe, correct, domain),
        delong_within(probe, correct, domain),
    )
    others = [
        above_other(f"probe minus {name}", delong_within_difference(probe, scores, correct, domain))
        for name, scores in rivals.items()
    ]
    return decide(STATES, (first, *others))


def text_verdict(stated: Floats, correct: Bools, domain: np.ndarray) -> Verdict:
    """Judge whether the text says it, from the stated confidence [n], NaN where there is none."""
    test = within_test(stated, correct, domain)
    check = above_half("text within domain", test, delong_within(stated, correct, domain))
    return decide(TEXT, (check,))


def teaching_verdict(
    after: Floats,
    before: Floats,
    control: Floats,
    correct: Bools,
    domain: np.ndarray,
    spread: float,
) -> Verdict:
    """Judge whether teaching moved it, from the confidence [n] of the tuned model, the base model
    and the model taught on shuffled targets.

    Args:
        spread: standard deviation of AUROC2 within domain between trainings on shuffled targets.
    """
    test = within_test(after, correct, domain, extra=spread)
    gain = delong_within_difference(after, before, correct, domain)
    over = delong_within_difference(after, control, correct, domain)
    checks = (
        above_half("text after, within domain", test, delong_within(after, correct, domain)),
        above_other("after minus before", gain, SMALL),
        above_other("after minus shuffled control", over),
    )
    return decide(TEACHING, checks)
