"""Measure how often every verdict holds: in worlds in which nothing is there, and with a planted
effect of graded size.

A verdict errs in a null world if it holds. Rates have Wilson's 95 % interval over worlds. Simulated
worlds are independent; those of a run share its questions, so their interval is too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench import progress
from workbench.bench.tiny_worlds import make_world
from workbench.bench.verdict_models import judge_donors, judge_reading, run_chain
from workbench.bench.verdict_states import (
    broken_pairs_world,
    donor_grades_world,
    open_kept_run,
    random_vectors_world,
    shuffled_grades_world,
    shuffled_targets_world,
)
from workbench.bench.verdict_worlds import (
    place_is_wrong,
    sweep_world,
    table_world,
    teaching_world,
)
from workbench.errors import WorkbenchError
from workbench.measure import wilson_interval
from workbench.measure.verdicts import CAUSE, NAMES, STATES, TEACHING, TEXT, WHERE, Verdict

World = Callable[[int], Mapping[str, Verdict]]
SIMULATED, TINY, KEPT = PARTS = ("simulated", "tiny", "run")
MOST = 0.05
AUROCS = (0.55, 0.6, 0.65, 0.7, 0.8)
TABLE_ROWS, SWEEP_ITEMS = (100, 200, 400), (32, 64, 128, 200)
TINY_NOISE = (0.0, 0.1, 0.2, 0.3)
POWER_SHARE = 4
"""Power is measured with a quarter of the worlds: large rates need fewer than small ones."""


@dataclass(frozen=True)
class Group:
    """Worlds of one kind.

    Attributes:
        part: one of PARTS.
        name: what is cut, or planted.
        null: whether nothing is there.
        judge: the verdicts of the world with a seed.
        claims: those verdicts that are counted.
        effect: the planted AUROC2 within domain or its like; NaN in null worlds.
        size: questions or patched items.
    """

    part: str
    name: str
    null: bool
    judge: World
    claims: tuple[str, ...]
    effect: float = float("nan")
    size: int = 0


@dataclass(frozen=True)
class VerdictBench:
    """The rates: one row per kind of world and verdict (part, world, null, verdict, effect, size,
    value, low, high, n).
    """

    rates: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def values(self) -> dict[str, Any]:
        """The largest false-positive rate of every verdict in every part, with dotted keys."""
        null = self.rates[self.rates["null"]]
        keys = null["part"] + "." + null["verdict"] + ".worst"
        worst = null["value"].groupby(keys, sort=False).max()
        return {str(key): float(rate) for key, rate in worst.items()}


def bench_verdicts(
    *, worlds: int, tiny_worlds: int, run: Path | None, parts: tuple[str, ...]
) -> VerdictBench:
    """Measure the rates of all verdicts.

    Args:
        worlds: of each simulated kind, and of each kind from the run.
        tiny_worlds: of each kind on tiny models.
        run: folder of a run with kept states, None for none.
        parts: some of PARTS.

    Raises:
        WorkbenchError: for an unknown part.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise WorkbenchError(f"There is no part {unknown[0]!r}; use {', '.join(PARTS)}.")
    notes = []
    groups: list[tuple[Group, int]] = []
    if SIMULATED in parts:
        groups += [(one, worlds if one.null else worlds // POWER_SHARE) for one in simulated()]
    if KEPT in parts and run is not None:
        groups += [(one, worlds) for one in from_run(run)]
    elif KEPT in parts:
        notes.append("No worlds from a run: give the folder of one with --run.")
    rows = []
    for group, count in progress.track(groups, "judging worlds"):
        rows += rates_of(group, [group.judge(seed) for seed in range(max(1, count))])
    if SIMULATED in parts:
        rows.append(misplaced(worlds))
    if TINY in parts:
        rows += tiny_rates(tiny_worlds)
    return VerdictBench(pd.DataFrame(rows), tuple(notes))


def rates_of(group: Group, judged: list[Mapping[str, Verdict]]) -> list[dict[str, Any]]:
    """Return one row per verdict: the share of worlds in which it holds, with its interval."""
    return [rate_row(group, name, [found[name].holds for found in judged]) for name in group.claims]


def rate_row(group: Group, name: str, held: list[bool]) -> dict[str, Any]:
    """Return the row of one verdict that held in some of the worlds."""
    count, n = int(np.sum(held)), len(held)
    low, high = (float(bound) for bound in wilson_interval(np.float64(count), np.int64(n)))
    return {
        "part": group.part,
        "world": group.name,
        "null": group.null,
        "verdict": name,
        "effect": group.effect,
        "size": group.size,
        "value": count / n,
        "low": low,
        "high": high,
        "n": n,
    }


def simulated() -> Iterator[Group]:
    """Yield the simulated worlds: the null ones, then the planted ones by size of the effect."""
    patching = (CAUSE, WHERE)
    for n in TABLE_ROWS:
        sized = partial(Group, SIMULATED, size=n)
        yield sized(
            "shuffled grades", null=True, judge=partial(table_world, n=n), claims=(STATES, TEXT)
        )
        yield sized(
            "the question text knows as much as the states",
            null=True,
            judge=partial(table_world, n=n, probe=0.7, rival=0.7),
            claims=(STATES,),
        )
        yield sized(
            "taught on shuffled targets",
            null=True,
            judge=partial(teaching_world, n=n),
            claims=(TEACHING,),
        )
    for items in SWEEP_ITEMS:
        sized = partial(Group, SIMULATED, size=items, claims=patching)
        yield sized(
            "random vectors as donors",
            null=True,
            judge=partial(sweep_world, items=items, donors=0.7, follows=False),
        )
        yield sized(
            "donors that know nothing",
            null=True,
            judge=partial(sweep_world, items=items, donors=None),
        )
    for auroc in AUROCS:
        for n in TABLE_ROWS:
            sized = partial(Group, SIMULATED, null=False, effect=auroc, size=n)
            yield sized(
                "planted in states and text",
                judge=partial(table_world, n=n, probe=auroc, text=auroc),
                claims=(STATES, TEXT),
            )
            yield sized(
                "planted by teaching",
                judge=partial(teaching_world, n=n, after=auroc),
                claims=(TEACHING,),
            )
        for items in SWEEP_ITEMS:
            yield Group(
                SIMULATED,
                "planted in the donors",
                False,
                partial(sweep_world, items=items, donors=auroc),
                patching,
                auroc,
                items,
            )


def misplaced(worlds: int) -> dict[str, Any]:
    """Return the row of named layers that miss the true one, of the worlds that name any."""
    found = [place_is_wrong(seed, items=64) for seed in range(worlds)]
    named = [wrong for wrong in found if wrong is not None] or [False]
    group = Group(
        SIMULATED, "layers named wrongly", True, partial(sweep_world, items=64), (), size=64
    )
    return rate_row(group, WHERE, named)


def from_run(folder: Path) -> Iterator[Group]:
    """Yield the null worlds of a finished run."""
    run = open_kept_run(folder)
    held_out = int((~run.train).sum())
    kinds: list[tuple[str, Callable[..., Mapping[str, Verdict]], tuple[str, ...]]] = [
        ("grades shuffled before the split", shuffled_grades_world, (STATES, TEXT)),
        ("taught on shuffled targets (linear)", shuffled_targets_world, (TEACHING,)),
    ]
    for name, judge, claims in kinds:
        yield Group(KEPT, name, True, partial(judge, run), claims, size=held_out)
    if run.sweep is not None:
        items = len(run.sweep.donor_correct)
        for name, judge in (
            ("donors' grades shuffled", donor_grades_world),
            ("pairs of donors broken", broken_pairs_world),
            ("random vectors as donors", random_vectors_world),
        ):
            yield Group(KEPT, name, True, partial(judge, run), (CAUSE, WHERE), size=items)


def _judged(seed: int) -> Mapping[str, Verdict]:
    """Refuse to judge: the worlds of this group have been judged together with others."""
    raise WorkbenchError(f"World {seed} is judged with the other tiny worlds; use tiny_rates.")


def tiny_rates(worlds: int) -> list[dict[str, Any]]:
    """Return the rates on tiny random models: null worlds that share a chain, those with a chain of
    their own, and planted ones.
    """
    null: dict[str, list[Mapping[str, Verdict]]] = {}
    planted: dict[float, list[Mapping[str, Verdict]]] = {}
    for seed in progress.track(range(worlds), "judging tiny models"):
        for questions in ("shuffled grades", "another question"):
            chain = run_chain(make_world(seed, questions, 0.0), seed)
            found = {**judge_reading(chain), **judge_donors(chain, "taught")}
            null.setdefault(questions, []).append(found)
        noise = TINY_NOISE[seed % len(TINY_NOISE)]
        chain = run_chain(make_world(seed, "own", noise), seed)
        found = {**judge_reading(chain), **judge_donors(chain, "taught")}
        planted.setdefault(noise, []).append(found)
        for donors in ("random adapter", "shuffled targets", "equal norm"):
            null.setdefault(f"{donors} as donors", []).append(judge_donors(chain, donors))
    rows = []
    for name, judged in null.items():
        claims = tuple(claim for claim in NAMES if claim in judged[0])
        rows += rates_of(Group(TINY, name, True, _judged, claims, size=64), judged)
    for noise, judged in sorted(planted.items()):
        # The base model's text is of random weights: nothing is planted in it.
        claims = tuple(claim for claim in NAMES if claim != TEXT)
        group = Group(TINY, "planted", False, _judged, claims, 1 - noise, 64)
        rows += rates_of(group, judged)
    return rows
