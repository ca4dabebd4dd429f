"""Say in words where what a model knows is lost, by a written rule over intervals.

Four stations: *known* (the best probe before the confidence position), *carried* (the best probe at
the confidence position), *in the numbers* (the best reading of the whole distribution over the
scale) and *said* (the text). Each is a score of held-out questions that was fixed on training ones.

- A station *tells* if its AUROC2 within domain is above 1/2 against shuffled grades, at one-sided
  2.5 % divided by the number of stations.
- No station tells: *no signal*. One of four tests errs in at most 2.5 % of worlds without any.
- The stations are gone through in order. A later station *keeps* the signal if it tells and has at
  least half of the best earlier excess over 1/2. It *lost* it if it has less than half, and the
  paired difference to the best earlier station is above 0 at 95 %. The first station that lost it
  gives the verdict; one that neither keeps nor lost it makes it *not clear*. All kept: *said*. A
  station that states nothing is taken as one that always states the same.

What undoes a loss between numbers and text is asked of evidence in order: a fixed map of the output
(:mod:`workbench.bottleneck.fixed_maps`), one direction of the state, teaching. Each counts if what
is then written tells, has at least half of the excess in the numbers, and more than the text at 95
%; texts without a number count as the usual one (:mod:`workbench.bottleneck.unwritten`).

The error rates are measured on planted models (``workbench bench bottleneck``). A verdict holds for
these questions, prompt and readings: what no reading here finds may be there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.bottleneck.unwritten import score_unwritten
from workbench.errors import WorkbenchError
from workbench.measure.delong import delong_within_difference
from workbench.measure.interval import Estimate
from workbench.measure.within_test import WithinTest, within_test

KNOWN, CARRIED, NUMBERS, SAID = STATIONS = ("known", "carried", "in the numbers", "said")
NO_SIGNAL, NOT_CARRIED, NOT_IN_NUMBERS, NOT_IN_TEXT, ALL_SAID, UNCLEAR = VERDICTS = (
    "no signal",
    "known but not carried to the confidence position",
    "carried but not in the number logits",
    "in the softmax but not in the text",
    "said",
    "not clear",
)
LOST_AT: Mapping[str, str] = {
    CARRIED: NOT_CARRIED,
    NUMBERS: NOT_IN_NUMBERS,
    SAID: NOT_IN_TEXT,
}
FIXED_MAP, ONE_DIRECTION, TEACHING = REMEDIES = (
    "a fixed map away",
    "one direction away",
    "needs teaching",
)
ALPHA, HALF, KEPT = 0.025, 0.5, 0.5
FEWEST = 40
"""Held-out answers below which nothing is judged."""


@dataclass(frozen=True, eq=False)
class Station:
    """The held-out scores [n] of a station, higher for surer and NaN where nothing is stated, and
    the standard deviation of AUROC2 between trainings on shuffled targets, where a training made
    it.
    """

    name: str
    scores: Floats
    extra: float = 0.0


@dataclass(frozen=True)
class Judged:
    """A station's test, its excess as a share of the best earlier one's (NaN for the first that
    tells), the paired loss to that one (None for the first), and what follows.
    """

    name: str
    test: WithinTest
    tells: bool
    kept: float
    loss: Estimate | None


@dataclass(frozen=True)
class BottleneckVerdict:
    """The verdict, what would undo the loss ("" where that was not asked, or nothing did), and the
    stations it rests on.
    """

    verdict: str
    remedy: str
    stations: tuple[Judged, ...]


def judge(
    stations: Sequence[Station],
    correct: Bools,
    domain: np.ndarray,
    remedies: Mapping[str, Floats] | None = None,
) -> BottleneckVerdict:
    """Return the verdict on the stations, in the order of STATIONS.

    Args:
        remedies: what is written [n] after each remedy that was tried, by its name in REMEDIES.

    Raises:
        WorkbenchError: for other stations, and fewer answers than can be judged or one kind alone.
    """
    if tuple(each.name for each in stations) != STATIONS:
        raise WorkbenchError(f"a verdict needs the stations {', '.join(STATIONS)}, in this order")
    if len(correct) < FEWEST or correct.all() or not correct.any():
        raise WorkbenchError(
            f"a verdict needs at least {FEWEST} held-out answers of both kinds; there are "
            f"{int(correct.sum())} right and {int((~correct).sum())} wrong ones: ask more questions"
        )
    judged: list[Judged] = []
    best: Station | None = None
    for station in stations:
        found = _judged(station, best, correct, domain)
        judged.append(found)
        if found.tells and (best is None or found.kept > 1):
            best = station
    verdict = _verdict(judged)
    remedy = ""
    if verdict == NOT_IN_TEXT:
        remedy = _remedy(stations, correct, domain, remedies or {})
    return BottleneckVerdict(verdict, remedy, tuple(judged))


def _judged(station: Station, best: Station | None, correct: Bools, domain: np.ndarray) -> Judged:
    test = within_test(station.scores, correct, domain, extra=station.extra)
    tells = test.z > 0 and test.p <= ALPHA / len(STATIONS)
    if best is None:
        return Judged(station.name, test, tells, float("nan"), None)
    scores, value = station.scores, test.value
    if np.isnan(value):
        # What states nothing tells no question from another, as if it always said the same.
        scores, value = np.zeros(len(scores)), HALF
    loss = delong_within_difference(best.scores, scores, correct, domain)
    excess = within_test(best.scores, correct, domain).value - HALF
    return Judged(station.name, test, tells, (value - HALF) / excess, loss)


def _verdict(judged: Sequence[Judged]) -> str:
    if not any(each.tells for each in judged):
        return NO_SIGNAL
    for each in judged:
        if each.loss is None or (each.tells and each.kept >= KEPT):
            continue
        lost = each.kept < KEPT and each.loss.low > 0
        return LOST_AT[each.name] if lost else UNCLEAR
    return ALL_SAID


def _remedy(
    stations: Sequence[Station], correct: Bools, domain: np.ndarray, remedies: Mapping[str, Floats]
) -> str:
    """Return the first remedy after which the text has what the numbers have; "" if none does."""
    numbers, said = stations[STATIONS.index(NUMBERS)], stations[STATIONS.index(SAID)]
    excess = within_test(numbers.scores, correct, domain).value - HALF
    for name in REMEDIES:
        if name not in remedies:
            continue
        written = score_unwritten(remedies[name])
        test = within_test(written, correct, domain)
        gain = delong_within_difference(written, score_unwritten(said.scores), correct, domain)
        tells = test.z > 0 and test.p <= ALPHA / len(REMEDIES)
        if tells and test.value - HALF >= KEPT * excess and gain.low > 0:
            return name
    return ""
