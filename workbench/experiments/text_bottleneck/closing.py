"""Measure how much of the gap between a probe and what the base model says teaching closes.

The probe is the base model's, at the answer or the confidence position, whichever reads the
training questions better. See :mod:`workbench.bottleneck.gap_closed` for the share and its sign.

Published beside it, where a curriculum was taught: at 70B the text stayed at 97-98 % and the *mean
of the numbers* went from AUROC2 0.724 to 0.797, 66 % of the gap to the probe, after both stages
(PT-CSFT). That is pooled AUROC2 of other questions, so it is no target for ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.bottleneck.gap_closed import GapClosed, gap_closed
from workbench.bottleneck.steps import Questions, Step
from workbench.experiments.text_bottleneck.conditions import BEFORE, BOTH_STAGES, ModelCondition
from workbench.experiments.text_bottleneck.read import AT_CONFIDENCE, HAVING_ANSWERED, MEAN, TEXT
from workbench.measure import Bootstrap
from workbench.measure.log_score import log_score

PUBLISHED = 0.66
READOUTS = (TEXT, MEAN)


@dataclass(frozen=True)
class ClosedGap:
    """The share that a condition's teaching closes for a ``readout``, within domain and pooled."""

    condition: ModelCondition
    readout: str
    within: GapClosed
    pooled: GapClosed


def measure_closing(
    steps: Mapping[ModelCondition, Sequence[Step]], questions: Questions, draw: Bootstrap
) -> tuple[ClosedGap, ...]:
    """Measure the share for every taught condition and readout; ``questions`` are those of the base
    model's steps.
    """
    base = {step.name: step for step in steps[BEFORE]}
    probe = min(
        (base[name] for name in (HAVING_ANSWERED, AT_CONFIDENCE)),
        key=lambda step: log_score(step.training, questions.training_correct),
    )
    found = []
    for condition, taught in steps.items():
        if condition == BEFORE:
            continue
        held_out = {step.name: step.held_out for step in taught}
        for name in READOUTS:
            within, pooled = (
                gap_closed(
                    probe.held_out,
                    base[name].held_out,
                    held_out[name],
                    questions.correct,
                    domain,
                    draw,
                )
                for domain in (questions.domain, None)
            )
            found.append(ClosedGap(condition, name, within, pooled))
    return tuple(found)


def closing_rows(closed: Sequence[ClosedGap]) -> list[dict[str, str]]:
    """Return the rows of the page's table; with a curriculum the published figure comes last."""
    rows = [
        {
            "condition": each.condition.label,
            "readout": each.readout,
            "share of the gap closed, within domain": _shown(each.within),
            "pooled": _shown(each.pooled),
        }
        for each in closed
    ]
    if any(each.condition == BOTH_STAGES for each in closed):
        rows.append(
            {
                "condition": "published, 70B, after the curriculum",
                "readout": MEAN,
                "share of the gap closed, within domain": "–",
                "pooled": f"{PUBLISHED:.2f}",
            }
        )
    return rows


def _shown(found: GapClosed) -> str:
    return f"{found.share:.2f}" if found.there else f"no gap ({found.gap:.2f})"
