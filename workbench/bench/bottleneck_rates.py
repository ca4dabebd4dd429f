"""Measure how often the verdict on the text bottleneck is right where the truth is planted, and how
often it errs where grades are shuffled.

Three parts, all on tiny planted transformers (:mod:`.planted_bottlenecks`):

- *planted*: clues so strong and questions so many that the truth is clear; the strength (AUROC2
  within domain of the clue itself) and the number of held-out questions are drawn from CLEAR and
  CLEAR_QUESTIONS. Counted is the right verdict, and the right remedy besides.
- *null*: worlds of every case in turn, with all their grades shuffled within domain before the
  split, of NULL_QUESTIONS held-out questions. Any verdict but *no signal* errs, *not clear* too.
- *power*: a case of each verdict at graded strengths below those, and two numbers of questions.

Rates have Wilson's 95 % interval over worlds, which are independent. A planted world shows that the
rule is right about what its readings can find; it does not show that real models lose what they
know in one of these ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from workbench import progress
from workbench.bench.planted_bottlenecks import (
    CASES,
    HIDDEN,
    PINNED,
    TOLD,
    UNREAD,
    Case,
    make_planted_world,
)
from workbench.bench.planted_verdicts import judge_planted
from workbench.bottleneck.verdict import NO_SIGNAL
from workbench.errors import WorkbenchError
from workbench.measure import wilson_interval

PLANTED, NULL, POWER = PARTS = ("planted", "null", "power")
LEAST_RIGHT, MOST_WRONG = 0.95, 0.05
CLEAR, CLEAR_QUESTIONS = (0.8, 0.9), (120, 250)
NULL_QUESTIONS, NULL_STRENGTH = (80, 250), 0.85
STRENGTHS, SIZES = (0.6, 0.65, 0.7, 0.75), (100, 250)
GRADED = (HIDDEN, UNREAD, PINNED, TOLD)
FIRST_SEED = {PLANTED: 0, NULL: 10_000, POWER: 20_000}


@dataclass(frozen=True)
class PlannedWorld:
    """A world to be judged."""

    part: str
    case: Case
    seed: int
    strength: float
    held_out: int


@dataclass(frozen=True)
class BottleneckBench:
    """The verdict on every world: one row per world (part, truth, remedy, seed, strength, held_out,
    found, found_remedy).
    """

    worlds: pd.DataFrame

    @property
    def values(self) -> dict[str, Any]:
        """The share of right verdicts of the worst case, and the share of errors in null worlds,
        with dotted keys.
        """
        rates = self.rates()
        out: dict[str, Any] = {}
        planted = rates[(rates["part"] == PLANTED) & (rates["measure"] == "verdict")]
        if len(planted):
            out["planted.right.least"] = float(planted["value"].min())
        null = rates[(rates["part"] == NULL) & (rates["case"] == "all")]
        if len(null):
            out["null.errors"] = float(null["value"].iloc[0])
        return out

    def rates(self) -> pd.DataFrame:
        """Return the rates (part, case, measure, strength, held_out, value, low, high, n): right
        verdicts, and right ones with their remedy, of planted worlds; errors of null ones.
        """
        return pd.DataFrame(list(_rates(self.worlds)))

    def confusion(self) -> pd.DataFrame:
        """Return how many planted worlds of each case (rows) got each verdict (columns)."""
        mine = self.worlds[self.worlds["part"] == PLANTED]
        found = _names(mine[["found", "found_remedy"]])
        truth = _names(mine[["truth", "remedy"]])
        order = [case.name for case in CASES]
        rows = [name for name in order if name in truth]
        columns = [*order, *sorted({*found} - {*order})]
        counts = [
            [
                sum(pair == (row, column) for pair in zip(truth, found, strict=True))
                for column in columns
            ]
            for row in rows
        ]
        return pd.DataFrame(counts, index=rows, columns=columns, dtype=int)


def bench_bottleneck(*, worlds: int, nulls: int, graded: int) -> BottleneckBench:
    """Judge ``worlds`` planted worlds a case, ``nulls`` null worlds in all, and ``graded`` worlds
    of each of GRADED, STRENGTHS and SIZES.

    Raises:
        WorkbenchError: for no world at all.
    """
    planned = list(plan_worlds(worlds, nulls, graded))
    if not planned:
        raise WorkbenchError("There is nothing to judge: ask for planted, null or graded worlds.")
    rows = [_judged(one) for one in progress.track(planned, "judging planted models")]
    return BottleneckBench(pd.DataFrame(rows))


def plan_worlds(worlds: int, nulls: int, graded: int) -> Iterator[PlannedWorld]:
    """Yield all worlds; each one's numbers are drawn from its own seed."""
    for case in CASES:
        for number in range(worlds):
            rng = np.random.default_rng([0, CASES.index(case), number])
            strength = float(rng.uniform(*CLEAR))
            held_out = int(rng.integers(CLEAR_QUESTIONS[0], CLEAR_QUESTIONS[1] + 1))
            yield PlannedWorld(PLANTED, case, FIRST_SEED[PLANTED] + number, strength, held_out)
    sizes = np.linspace(*NULL_QUESTIONS, max(nulls, 1)).round().astype(int)
    for number, size in enumerate(np.random.default_rng(0).permutation(sizes)[:nulls].tolist()):
        case = CASES[number % len(CASES)]
        yield PlannedWorld(NULL, case, FIRST_SEED[NULL] + number, NULL_STRENGTH, size)
    for case, strength, size in product(GRADED, STRENGTHS, SIZES):
        for number in range(graded):
            yield PlannedWorld(POWER, case, FIRST_SEED[POWER] + number, strength, size)


def _judged(planned: PlannedWorld) -> dict[str, Any]:
    world = make_planted_world(
        planned.case,
        planned.seed,
        held_out=planned.held_out,
        strength=planned.strength,
        null=planned.part == NULL,
    )
    found = judge_planted(world)
    return {
        "part": planned.part,
        "truth": planned.case.verdict,
        "remedy": planned.case.remedy,
        "seed": planned.seed,
        "strength": planned.strength,
        "held_out": planned.held_out,
        "found": found.verdict,
        "found_remedy": found.remedy,
    }


def _rates(worlds: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for case in CASES:
        of_case = worlds[(worlds["truth"] == case.verdict) & (worlds["remedy"] == case.remedy)]
        mine = of_case[of_case["part"] == PLANTED]
        if len(mine):
            yield from _right(PLANTED, case, mine)
        graded = of_case[of_case["part"] == POWER]
        for strength, size in product(STRENGTHS, SIZES):
            some = graded[(graded["strength"] == strength) & (graded["held_out"] == size)]
            if len(some):
                yield from _right(POWER, case, some, strength, size)
    null = worlds[worlds["part"] == NULL]
    for name in (*(case.name for case in CASES), "all"):
        chosen = [name in ("all", one) for one in _names(null[["truth", "remedy"]])]
        some = null[np.array(chosen, dtype=bool)]
        if len(some):
            yield _rate(NULL, name, "verdict", some["found"] != NO_SIGNAL)


def _names(pairs: pd.DataFrame) -> list[str]:
    """Return the case names of rows of a verdict and a remedy."""
    return [Case(str(verdict), str(remedy)).name for verdict, remedy in pairs.to_numpy().tolist()]


def _right(
    part: str, case: Case, worlds: pd.DataFrame, strength: float = np.nan, size: int = 0
) -> Iterator[dict[str, Any]]:
    right = worlds["found"] == case.verdict
    yield _rate(part, case.name, "verdict", right, strength, size)
    if case.remedy and part == PLANTED:
        helped = worlds["found_remedy"] == case.remedy
        yield _rate(part, case.name, "verdict and remedy", helped, strength, size)


def _rate(
    part: str,
    case: str,
    measure: str,
    held: pd.Series,
    strength: float = np.nan,
    size: int = 0,
) -> dict[str, Any]:
    count, n = int(held.sum()), len(held)
    low, high = (float(bound) for bound in wilson_interval(np.float64(count), np.int64(n)))
    return {
        "part": part,
        "case": case,
        "measure": measure,
        "strength": strength,
        "held_out": size,
        "value": count / n,
        "low": low,
        "high": high,
        "n": n,
    }
