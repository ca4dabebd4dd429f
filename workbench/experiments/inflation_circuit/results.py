"""Measure what ablated sets have of a run's inflation in a condition, and make its record.

The set that is judged is the compact one (see :mod:`.read`); the curve over sizes is for
the page. The correction's set has the size with the lowest Brier score on training questions, which
may be none: then nothing is ablated, and nothing is gained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Floats, Rows
from workbench.bottleneck.ceiling_writers import GRADIENT
from workbench.elicit.readout import expected_confidence
from workbench.experiments.inflation_circuit.read import (
    ALONE,
    ALONE_LIKE,
    ANYWHERE,
    ATTRIBUTED,
    CHOSEN,
    HELD_OUT,
    LIKE,
    NOTHING,
    SETS,
    TRAINED,
    WRITERS,
    WRONG,
    RoleSet,
    compact_size,
    inflation_stage,
    sets_of,
)
from workbench.experiments.mechanism_record import record_of_run
from workbench.experiments.text_bottleneck.ceiling_sets import kept_writers
from workbench.experiments.text_bottleneck.conditions import ModelCondition
from workbench.experiments.text_bottleneck.read import split_of
from workbench.loop.answers import right_answers
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.measure import Bootstrap, ece
from workbench.mechanisms.record import MechanismRecord
from workbench.mechanisms.works.inflation_circuit import WORK
from workbench.mechanisms.works.inflation_measures import (
    Ablated,
    Corrected,
    measure_ablated,
    measure_correction,
    measure_depth,
)
from workbench.pipeline.store import ROW, StageStore
from workbench.trace.sites import Site


@dataclass(frozen=True, eq=False)
class _Kept:
    """What a condition's stage keeps, as expected confidences [n, 1 + sets] and masses."""

    expected: dict[str, Floats]
    mass: Floats
    rows: dict[str, Rows]


def measure_inflation(
    run: Run, *, condition: ModelCondition, name: str
) -> tuple[MechanismRecord, pd.DataFrame, pd.DataFrame]:
    """Return the record of a condition that records call ``name``, the curve over sizes (size,
    confidence, removed, carried) and the compact set's writers (layer, component, index, share).
    """
    kept_stage = run.stage(inflation_stage(condition.name))
    facts = kept_stage.facts()
    if "why_not" in facts:
        reasons = {each.name: str(facts["why_not"]) for each in WORK.quantities}
        record = record_of_run(run, WORK, {}, name, reasons=reasons)
        return record, pd.DataFrame(), pd.DataFrame()
    kept, draw = _kept(run, kept_stage), Bootstrap(run.config.bootstrap_resamples, run.config.seed)
    sets, writers = sets_of(kept_stage.table(SETS)), kept_writers(kept_stage.table(WRITERS))
    scores = kept_stage.tensors(ATTRIBUTED)[GRADIENT]
    compact = compact_size(len(writers))
    split = split_of(run, condition)
    accuracy = float(split.questions.training_correct.mean())
    of = {
        role: [1 + at for at, one in enumerate(sets) if one.role == role]
        for role in (CHOSEN, ALONE, NOTHING, LIKE, ANYWHERE, ALONE_LIKE)
    }
    at = [one.size for one in sets if one.role == CHOSEN].index(compact)
    wrong = kept.expected[WRONG]
    ablated = Ablated(
        accuracy,
        wrong[:, 0],
        wrong[:, of[CHOSEN][at]],
        wrong[:, of[LIKE]],
        wrong[:, of[ANYWHERE]],
        wrong[:, of[NOTHING][0]],
        wrong[:, of[ALONE][at]],
        wrong[:, of[ALONE_LIKE]],
        kept.mass[:, of[CHOSEN][at]],
        kept.mass[:, of[LIKE]].mean(axis=1),
    )
    estimates = measure_ablated(ablated, draw)
    depth_layers = [site.layer for site in writers]
    estimates |= measure_depth(scores, depth_layers, compact, draw)
    correction, told = _corrected(run, kept, [one.size for one in sets if one.role == CHOSEN])
    estimates |= measure_correction(correction, draw)
    why = (
        "wrong answers are not surely given more than the accuracy, so there is no inflation, or "
        "the writers together do not surely hold it up"
    )
    record = record_of_run(
        run,
        WORK,
        estimates,
        name,
        reasons={each.name: why for each in WORK.quantities if each.name not in estimates},
        facts={
            "accuracy": accuracy,
            "writers": len(writers),
            "compact": compact,
            "attributed": len(scores),
            **told,
        },
    )
    curve = _curve(wrong, sets, of)
    return record, curve, _chosen_writers(scores, writers, compact)


def _kept(run: Run, stage: StageStore) -> _Kept:
    shares = np.asarray(run.scale_tokens.trie.values) / run.fmt.scale.certain
    expected, rows = {}, {}
    mass = np.empty(0)
    for name in (WRONG, TRAINED, HELD_OUT):
        found = stage.tensors(name)["distribution"]
        expected[name] = expected_confidence(found, shares.tolist(), 1.0).astype(np.float64)
        rows[name] = stage.table(name)[ROW].to_numpy()
        if name == WRONG:
            mass = found.sum(axis=-1)
    return _Kept(expected, mass, rows)


def _corrected(run: Run, kept: _Kept, sizes: list[int]) -> tuple[Corrected, dict[str, Any]]:
    """Return the correction by the set that did best on training questions, and its facts."""
    train, test = (right_answers(run, kept.rows[name]) for name in (TRAINED, HELD_OUT))
    brier = ((kept.expected[TRAINED] - train[:, None]) ** 2).mean(axis=0)
    best = int(brier.argmin())
    questions, _ = load_questions(run)
    held_out = kept.expected[HELD_OUT]
    found = Corrected(
        kept.expected[TRAINED][:, 0],
        train,
        held_out[:, 0],
        held_out[:, best],
        test,
        questions["domain"].to_numpy(dtype=str)[kept.rows[HELD_OUT]],
    )
    told = {
        "corrected_by": 0 if best == 0 else sizes[best - 1],
        "ece_own": float(ece(found.own, test)),
        "ece_set": float(ece(found.chosen, test)),
    }
    return found, told


def _curve(wrong: Floats, sets: list[RoleSet], of: dict[str, list[int]]) -> pd.DataFrame:
    """Return, by size, the mean confidence that a set's ablation leaves, and the shares removed and
    carried of what all writers hold up; NaN where they hold up nothing.
    """
    held = float((wrong[:, 0] - wrong[:, of[NOTHING][0]]).mean())
    rows = []
    for gone, alone in zip(of[CHOSEN], of[ALONE], strict=True):
        removed = float((wrong[:, 0] - wrong[:, gone]).mean())
        carried = float((wrong[:, alone] - wrong[:, of[NOTHING][0]]).mean())
        rows.append(
            {
                "size": sets[gone - 1].size,
                "confidence": float(wrong[:, gone].mean()),
                "removed": removed / held if held > 0 else np.nan,
                "carried": carried / held if held > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _chosen_writers(scores: Floats, writers: Sequence[Site], size: int) -> pd.DataFrame:
    mean = scores.mean(axis=0)
    order = np.argsort(-mean, kind="stable")[:size]
    return pd.DataFrame(
        {
            "layer": [writers[at].layer for at in order],
            "component": [writers[at].component for at in order],
            "index": [-1 if writers[at].index is None else writers[at].index for at in order],
            "share": mean[order],
        }
    )
