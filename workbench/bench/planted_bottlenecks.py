"""Draw worlds in which it is known where a model loses what it knows.

A world is a tiny transformer with a planted mechanism (:mod:`.planted_models`), questions of
domains of unequal base rate, and grades: right with log-odds ``base of the domain + slope x the
clue's score``. The slope is set so that the clue itself has a given AUROC2 within domain, the
world's *strength*. What is planted is one of CASES; family, width, layers, scale, domains and every
weight are drawn besides. ``UNTOLD`` has the mechanism of another case and grades that no token of
the prompt has to do with; *null* worlds of any case have all their grades shuffled within domain
before the split.

Where a loss is one direction or a teaching away, no fixed map of the output frees the number: all
values follow the distractor, and the clue bends their distribution a little, alike at both ends of
the scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from workbench.arrays import Bools, Floats, Rows
from workbench.bench.planted_models import FAMILIES, PlantedModel, build_planted
from workbench.bench.planted_tokens import (
    ANSWER_READER,
    DOMAINS,
    READERS,
    SCALES,
    Words,
    ask_question,
    level_scores,
    make_words,
    shuffle_levels,
)
from workbench.bench.planted_weights import Mechanism
from workbench.bottleneck.verdict import (
    ALL_SAID,
    FIXED_MAP,
    NO_SIGNAL,
    NOT_CARRIED,
    NOT_IN_NUMBERS,
    NOT_IN_TEXT,
    ONE_DIRECTION,
    TEACHING,
)
from workbench.elicit.conversation import Conversation


@dataclass(frozen=True)
class Case:
    """What is true in a world: the verdict, and the remedy where there is one."""

    verdict: str
    remedy: str = ""

    @property
    def name(self) -> str:
        return f"{self.verdict}: {self.remedy}" if self.remedy else self.verdict


UNTOLD, HIDDEN, UNREAD, PINNED, DROWNED, TEACHABLE, TOLD = CASES = (
    Case(NO_SIGNAL),
    Case(NOT_CARRIED),
    Case(NOT_IN_NUMBERS),
    Case(NOT_IN_TEXT, FIXED_MAP),
    Case(NOT_IN_TEXT, ONE_DIRECTION),
    Case(NOT_IN_TEXT, TEACHING),
    Case(ALL_SAID),
)
TRAINING = 240
WIDTHS, LAYERS = (32, 48, 64), (3, 4, 5)
BASE_RATES = (0.3, 0.7)


@dataclass(frozen=True, eq=False)
class PlantedWorld:
    """A model with its questions.

    Attributes:
        conversations: [n].
        clue: [n] the score of each question's clue.
        correct, domain, train: [n].
    """

    case: Case
    planted: PlantedModel
    words: Words
    conversations: tuple[Conversation, ...]
    clue: Floats
    correct: Bools
    domain: Rows
    train: Bools


def make_planted_world(
    case: Case,
    seed: int,
    *,
    held_out: int,
    strength: float,
    null: bool = False,
    training: int = TRAINING,
) -> PlantedWorld:
    """Draw a world of ``case`` with ``training`` + ``held_out`` questions."""
    rng = np.random.default_rng([CASES.index(case), seed])
    scale = SCALES[int(rng.integers(len(SCALES)))]
    words = make_words(scale)
    mechanism = draw_mechanism(case, words, rng)
    n = training + held_out
    count = int(rng.integers(3, DOMAINS + 1))
    domain = rng.permutation(np.resize(np.arange(count), n))
    base = logit(rng.permutation(np.linspace(*BASE_RATES, count)))
    clue, distractor, hidden = (shuffle_levels(rng, n) for _ in range(3))
    score = level_scores()[hidden if case is UNTOLD else clue]
    correct = rng.random(n) < expit(base[domain] + slope_of(strength, base) * score)
    asked = tuple(
        ask_question(words, rng, *levels)
        for levels in zip(domain.tolist(), clue.tolist(), distractor.tolist(), strict=True)
    )
    train = np.zeros(n, dtype=bool)
    train[rng.permutation(n)[:training]] = True
    # Last, so that a null world differs from its planted one in nothing else.
    if null:
        for one in range(count):
            rows = np.flatnonzero(domain == one)
            correct[rows] = rng.permutation(correct[rows])
    planted = build_planted(mechanism, words, seed)
    return PlantedWorld(case, planted, words, asked, score, correct, domain, train)


def slope_of(strength: float, base: Floats) -> float:
    """Return the slope at which the clue's score has this AUROC2, on average over domains."""

    def apart(slope: float) -> float:
        return float(np.mean([_auroc_of(expit(one + slope * level_scores())) for one in base]))

    return float(brentq(lambda slope: apart(slope) - strength, 0.0, 60.0))


def _auroc_of(right: Floats) -> float:
    """Return the AUROC2 of levels that are equally frequent, with these shares of right answers."""
    told, misled = right / right.sum(), (1 - right) / (1 - right).sum()
    # Levels go from surest to least sure, so what is below a level comes after it.
    below = misled[::-1].cumsum()[::-1] - misled
    return float(told @ (below + misled / 2))


def draw_mechanism(case: Case, words: Words, rng: np.random.Generator) -> Mechanism:
    """Draw the mechanism of a case; worlds that tell nothing have any other's."""
    if case is UNTOLD:
        return draw_mechanism(CASES[int(rng.integers(1, len(CASES)))], words, rng)
    layers = int(rng.choice(LAYERS))
    first = int(rng.integers(layers - 1))
    second = int(rng.integers(first + 1, layers))
    # Values from -1 to 1 along the scale, by their first token.
    along = np.linspace(-1, 1, len(words.firsts))
    # What is said moves the number over the whole scale, whatever random weights prefer; elsewhere
    # it may stand in the middle.
    moved = rng.uniform(3, 5) * (2 if case is TOLD else 1)
    bend = -moved * (0.2 if case is TOLD else 0.5) * along**2
    clue, distractor, pin = moved * along, rng.uniform(0.1, 0.3) * moved * along, 0 * along
    if case in (HIDDEN, UNREAD):
        clue, distractor = 0 * along, moved * along
    if case is PINNED:
        pin[len(along) - 1 - int(rng.integers(2))] = 3 * moved + 4
    if case in (DROWNED, TEACHABLE):
        distractor = moved * along
        clue = rng.uniform(0.12, 0.2) * moved * (along**2 - np.mean(along**2))
    readers = READERS if rng.random() < 0.5 else (ANSWER_READER,)
    return Mechanism(
        FAMILIES[int(rng.integers(len(FAMILIES)))],
        int(rng.choice(WIDTHS)),
        layers,
        first,
        second,
        readers,
        case is not HIDDEN,
        bend + pin,
        clue,
        distractor,
    )
