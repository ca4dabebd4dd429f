"""Say what recorded states, and the probes fitted on them, take in main memory, stage by stage.

States that fit into memory are one file of the stage that read them. They are held while a stage
reads or uses them, and not between: batches' parts wait for each other, are put together, and are
copied as they are sorted and split; probes take the training and the held-out rows out of the
whole. Larger states lie in shards, and of them nothing is held here but what probes take.
"""

from __future__ import annotations

from collections.abc import Collection

from workbench.elicit.conversation import POSITIONS
from workbench.plan.run_stages import PlannedRun
from workbench.plan.shape import DecoderShape
from workbench.probe.workers import Size, bytes_of_fits

PROBES = ("probe", "probe_tuned")
READINGS = ("elicit", "elicit_tuned")
PUT_TOGETHER = 3
"""Copies of the states as parts are put together: parts, what was joined, and its rows in order."""
TAKEN = 2
"""Copies while probes are fitted: the whole, and the rows that were taken out of it."""


def held_states(
    name: str, states: float, of_pass: float, loop: Collection[str], fits: float
) -> float:
    """Return the bytes of states that the stage ``name`` holds at its peak.

    Args:
        states: bytes of all recorded states; 0 where they lie in shards.
        of_pass: bytes of the stage's largest pass, which is over when parts are put together.
        loop: the stages of the loop; what comes after them holds the states once.
        fits: bytes that probes take besides.
    """
    if name in PROBES:
        return TAKEN * states + fits
    if name in READINGS:
        # What a tuned model changes are states of the base model's, which are read too.
        base = states if name == "elicit_tuned" else 0.0
        return base + max(states, PUT_TOGETHER * states - of_pass)
    return 0.0 if name in loop else states


def probe_bytes(run: PlannedRun, shape: DecoderShape) -> float:
    """Return about what fitting probes takes beside the states."""
    probe, rows = run.config.probe, len(run.questions.side("train"))
    # Where inner folds are the other outer ones, two outer ones share a training set.
    shared = 2 if probe.inner_folds == probe.folds - 1 else 1
    sets = 1 + probe.folds + probe.folds * probe.inner_folds // shared
    size = Size(
        rows,
        shape.layers,
        len(POSITIONS),
        shape.width,
        sets,
        sets * len(probe.inverse_penalties),
    )
    return float(bytes_of_fits(size, probe.memory_bytes))
