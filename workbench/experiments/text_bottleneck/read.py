"""Fit the readings of every step on a run's kept states and distributions, before and after
teaching, and keep their scores.

Nothing is asked anew: states at the question's end, the answer's end and the confidence position,
and the distribution over the scale, stand in the run. A step's scores are of training questions
(out of fold) and of held-out ones; sign: higher for surer of being right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench import progress
from workbench.arrays import Bools, Floats, Rows
from workbench.bottleneck.fixed_maps import log_of
from workbench.bottleneck.readings import Reading, read_best
from workbench.bottleneck.steps import Questions, Step
from workbench.elicit.conversation import QUESTION_END
from workbench.loop.answers import right_answers
from workbench.loop.positions import run_positions
from workbench.loop.probes import THINNED, probe_settings
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.pipeline.store import ROW, StageStore

STAGE = "bottleneck"
STAGES_OF = {"before": "elicit", "after": "elicit_tuned"}
BEFORE_ANSWERING, HAVING_ANSWERED, AT_CONFIDENCE, DISTRIBUTION, MEAN, TEXT = STEPS = (
    "before answering",
    "having answered",
    "at the confidence position",
    "all number logits",
    "their mean",
    "text",
)
FITTED = (BEFORE_ANSWERING, HAVING_ANSWERED, AT_CONFIDENCE, DISTRIBUTION)


def curves_of(when: str) -> str:
    """Return the name of the tensors [held-out, layers] with a condition's scores, by step."""
    return f"layers_{when}"


def weights_of(when: str) -> str:
    """Return the name of the tensors [layers, width] with a condition's directions of probes, on
    states as they are, by step.
    """
    return f"weights_{when}"


def penalties_of(when: str) -> str:
    """Return the name of the tensors [layers] with the C of a condition's probes, by step."""
    return f"inverse_penalties_{when}"


@dataclass(frozen=True, eq=False)
class Split:
    """The rows of training and held-out questions, with their grades and domains."""

    train: Rows
    test: Rows
    questions: Questions


def split_of(context: Run) -> Split:
    """Return the run's training and held-out questions."""
    table, _ = load_questions(context)
    train, test = (np.flatnonzero(table["split"] == side) for side in ("train", "test"))
    domain = table["domain"].to_numpy(dtype=str)
    graded: tuple[Bools, Bools] = (right_answers(context, train), right_answers(context, test))
    return Split(train, test, Questions(graded[0], domain[train], graded[1], domain[test]))


def read_steps(context: Run, stage: StageStore) -> dict[str, Any]:
    """Fit every step that needs a fit under both conditions; save the table "steps" (condition,
    step, row, score), the held-out scores of every layer and the probes as tensors, and return
    chosen layers.
    """
    split = split_of(context)
    wanted = [(when, name) for when in STAGES_OF for name in FITTED]
    rows: list[pd.DataFrame] = []
    curves: dict[str, dict[str, Floats]] = {when: {} for when in STAGES_OF}
    weights: dict[str, dict[str, Floats]] = {when: {} for when in STAGES_OF}
    penalties: dict[str, dict[str, Floats]] = {when: {} for when in STAGES_OF}
    chosen: dict[str, dict[str, int]] = {when: {} for when in STAGES_OF}
    for when, name in progress.track(wanted, "reading steps"):
        layers, vectors = _vectors(context, when, name)
        if vectors is None:
            continue
        reading = read_best(
            name,
            vectors[split.train],
            split.questions.training_correct,
            vectors[split.test],
            probe_settings(context),
        )
        rows.append(_table(when, reading, split))
        curves[when][name] = reading.by_layer
        weights[when][name] = reading.weights
        penalties[when][name] = reading.inverse_penalties
        chosen[when][name] = int(layers[reading.layer])
    stage.save_table("steps", pd.concat(rows, ignore_index=True))
    for when in STAGES_OF:
        stage.save_tensors(curves_of(when), curves[when])
        stage.save_tensors(weights_of(when), weights[when])
        stage.save_tensors(penalties_of(when), penalties[when])
    return {"layer": chosen}


def _vectors(
    context: Run, when: str, name: str
) -> tuple[NDArray[np.int64], NDArray[np.floating] | None]:
    """Return what a step holds of every question, [questions, layers, width], and the layers; None
    where the run did not record it.
    """
    readings = context.stage(STAGES_OF[when]).tensors("readings")
    if name == DISTRIBUTION:
        held: NDArray[np.floating] = log_of(readings["distribution"])[:, None]
        return np.array([readings["states"].shape[1] - 1]), held
    if name == BEFORE_ANSWERING:
        # The adapter does not act on the question, whose states are the base model's.
        base = context.stage("elicit").tensors("readings")
        if QUESTION_END not in base:
            return np.zeros(0, dtype=np.int64), None
        layers = np.arange(base[QUESTION_END].shape[1])[::-THINNED][::-1]
        return layers, base[QUESTION_END][:, layers]
    at = "confidence" if name == AT_CONFIDENCE else "answer_end"
    states = readings["states"]
    return np.arange(states.shape[1]), states[:, :, run_positions(context).index(at)]


def _table(when: str, reading: Reading, split: Split) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "condition": when,
            "step": reading.step.name,
            ROW: np.r_[split.train, split.test],
            "score": np.r_[reading.step.training, reading.step.held_out],
        }
    )


def distributions(context: Run, when: str) -> Floats:
    """Return the kept distribution over the scale of every question, [questions, values]."""
    found: Floats = context.stage(STAGES_OF[when]).tensors("readings")["distribution"]
    return found


def steps_of(context: Run, when: str, split: Split) -> tuple[Step, ...]:
    """Return the steps of a condition in the order of STEPS, without those the run has not."""
    return tuple(_steps(context, when, split))


def _steps(context: Run, when: str, split: Split) -> Iterator[Step]:
    kept = context.stage(STAGE).table("steps")
    said = context.stage(STAGES_OF[when]).table("confidence").set_index(ROW)
    columns = {MEAN: "expected", TEXT: "stated"}
    for name in STEPS:
        if name in columns:
            scores = said[columns[name]]
        else:
            mine = kept[(kept["condition"] == when) & (kept["step"] == name)]
            if mine.empty:
                continue
            scores = mine.set_index(ROW)["score"]
        train, test = (
            scores.loc[rows.tolist()].to_numpy(dtype=float) for rows in (split.train, split.test)
        )
        yield Step(name, train, test)
