"""Reach the verdicts of a run: fill the rules of :mod:`workbench.measure.verdicts` from its stages.

Everything is judged on held-out questions. The states' verdict takes the probe at the site chosen
on training questions against the rivals that see no states; the patching verdicts take donors from
other questions, with random vectors as control. One run shows nothing about other trainings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.conversation import QUESTION_END
from workbench.loop.conditions import AFTER, BEFORE, CONTROL, Key, Measures, Readouts
from workbench.loop.run import Run
from workbench.measure import Bootstrap
from workbench.measure.patching_verdicts import PatchingEvidence, cause_verdict, where_verdict
from workbench.measure.simultaneous import FEWEST_ITEMS, DonorSweep
from workbench.measure.verdicts import (
    Verdict,
    states_verdict,
    teaching_verdict,
    text_verdict,
)
from workbench.patch.controls import derangement
from workbench.patch.effects import Sweep

VERDICT = "verdict"


def donor_sweep(sweep: Sweep) -> DonorSweep:
    """Return a sweep as the rules take it."""
    return DonorSweep(sweep.layers, sweep.base, sweep.donor, sweep.patched)


def patching_evidence(
    by_name: Mapping[str, Sweep],
    rows: NDArray[np.int64],
    questions: pd.DataFrame,
    *,
    spread: float,
    last: int,
    seed: int,
) -> PatchingEvidence:
    """Return what the sweeps say of donors from other questions.

    Args:
        by_name: the sweep of every condition.
        rows: [items] the question of each item; items were paired with ``seed``.
        questions: with the columns row, domain and correct.
        last: the model's last layer.
    """
    donors = questions.set_index("row").loc[rows[derangement(len(rows), seed)].tolist()]
    return PatchingEvidence(
        donor_sweep(by_name["other_tuned"]),
        donor_sweep(by_name["random_vector"]),
        donors["correct"].to_numpy(dtype=bool),
        donors["domain"].to_numpy(dtype=str),
        spread,
        last,
    )


def judge_reading(
    r: Readouts, rivals: Mapping[str, NDArray[np.float64]], spread: float
) -> list[Verdict]:
    """Return the verdicts on what is known, said and taught."""
    stateless = {
        name.replace("_", " "): scores for name, scores in rivals.items() if name != QUESTION_END
    }
    return [
        states_verdict(r.probe[BEFORE], r.correct, r.domain, stateless),
        text_verdict(r.stated[BEFORE], r.correct, r.domain),
        teaching_verdict(
            r.stated[AFTER], r.stated[BEFORE], r.stated[CONTROL], r.correct, r.domain, spread
        ),
    ]


def loop_verdicts(
    context: Run,
    r: Readouts,
    rivals: Mapping[str, NDArray[np.float64]],
    by_name: Mapping[str, Sweep],
    draw: Bootstrap,
) -> tuple[Verdict, ...]:
    """Return every verdict of a run that went through; those of patching only where enough
    questions were patched, none where a run of an earlier version knows no spread of trainings.
    """
    facts = context.stage("probe").facts()
    if "training_spread" not in facts:
        return ()
    spread = float(facts["training_spread"])
    found = judge_reading(r, rivals, spread)
    table = context.stage("patch").table("sweep")
    rows = table.drop_duplicates("item").sort_values("item")["row"].to_numpy()
    if len(rows) >= FEWEST_ITEMS:
        evidence = patching_evidence(
            by_name,
            rows,
            r.questions.assign(correct=r.correct),
            spread=spread,
            last=int(context.stage("probe").table("layers")["layer"].max()),
            seed=context.config.seed,
        )
        cause = cause_verdict(evidence, **draw.draws)
        found += [cause, where_verdict(evidence, cause, **draw.draws)]
    return tuple(found)


def verdict_measures(verdicts: Sequence[Verdict]) -> Measures:
    """Return the outcomes by their keys."""
    return {Key(each.name, part=VERDICT): each.outcome for each in verdicts}
