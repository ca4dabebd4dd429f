"""Fit the readings of every step on the states and distributions that were kept in a condition, and
keep their scores.

Nothing is asked anew: states at the question's end, the answer's end and the confidence position,
and the distribution over the scale, stand in the condition's stage. A step's scores are of the
training questions that were read in the condition (out of fold) and of held-out ones, which are the
same in all; sign: higher for surer of being right.
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
from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.conditions import BEFORE, ModelCondition
from workbench.loop.answers import right_answers
from workbench.loop.positions import run_positions
from workbench.loop.probes import THINNED, probe_settings
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.loop.states import question_end_states, states_of_stage
from workbench.pipeline.store import ROW, StageStore
from workbench.probe.states import States

CURVES = "layers"
"""The tensors [held-out, layers] with the scores of a condition, by step."""
PROBES = "probes"
"""The tensors of a condition's probes at the confidence position: weights [layers, width], their
inverse_penalties [layers], and what they read from training questions, out_of_fold [training,
layers].
"""
BEFORE_ANSWERING, HAVING_ANSWERED, AT_CONFIDENCE, DISTRIBUTION, MEAN, TEXT = STEPS = (
    "before answering",
    "having answered",
    "at the confidence position",
    "all number logits",
    "their mean",
    "text",
)
FITTED = (BEFORE_ANSWERING, HAVING_ANSWERED, AT_CONFIDENCE, DISTRIBUTION)


def steps_stage(name: str) -> str:
    """Return the name of the stage that fits the steps of a condition."""
    return f"bottleneck_steps_{name}"


@dataclass(frozen=True, eq=False)
class Split:
    """The rows of training and held-out questions, with their grades and domains."""

    train: Rows
    test: Rows
    questions: Questions


def split_of(context: Run, condition: ModelCondition = BEFORE) -> Split:
    """Return the run's held-out questions, and those of its training questions that were read in
    the condition.

    Raises:
        WorkbenchError: where a held-out question was not read in it.
    """
    table, _ = load_questions(context)
    train, test = (np.flatnonzero(table["split"] == side) for side in ("train", "test"))
    there = _rows_read(context, condition)
    if not np.isin(test, there).all():
        raise WorkbenchError(
            f"The stage {condition.readings!r} lacks some held-out questions: run it again."
        )
    train = train[np.isin(train, there)]
    domain = table["domain"].to_numpy(dtype=str)
    graded: tuple[Bools, Bools] = (right_answers(context, train), right_answers(context, test))
    return Split(train, test, Questions(graded[0], domain[train], graded[1], domain[test]))


def _rows_read(context: Run, condition: ModelCondition) -> Rows:
    rows: Rows = context.stage(condition.readings).table("confidence")[ROW].to_numpy()
    return rows


def read_steps(context: Run, stage: StageStore, *, condition: ModelCondition) -> dict[str, Any]:
    """Fit every step that needs a fit in the condition; save the table "steps" (step, row, score),
    the held-out scores of every layer and the probes at the confidence position as tensors, and
    return chosen layers.

    What is known before answering is fitted for the base model alone: no adapter acts on the
    question.
    """
    split = split_of(context, condition)
    fitted = [name for name in FITTED if name != BEFORE_ANSWERING or condition == BEFORE]
    rows: list[pd.DataFrame] = []
    curves: dict[str, Floats] = {}
    chosen: dict[str, int] = {}
    for name in progress.track(fitted, f"reading steps {condition.label}"):
        found = _vectors(context, condition, name)
        if found is None:
            continue
        reading = read_best(
            name,
            found.of(split.train),
            split.questions.training_correct,
            found.of(split.test),
            probe_settings(context),
        )
        rows.append(_table(reading, split))
        curves[name] = reading.by_layer
        if name == AT_CONFIDENCE:
            probes = {
                "weights": reading.weights,
                "inverse_penalties": reading.inverse_penalties,
                "out_of_fold": reading.out_of_fold,
            }
            stage.save_tensors(PROBES, probes)
        chosen[name] = int(found.layers[reading.layer])
    stage.save_table("steps", pd.concat(rows, ignore_index=True))
    stage.save_tensors(CURVES, curves)
    return {"layer": chosen, "fitted_on": len(split.train)}


@dataclass(frozen=True, eq=False)
class StepVectors:
    """What a step holds, ``vectors`` [n, layers, width], of the questions ``rows`` [n] in rising
    order, and the layers.
    """

    rows: Rows
    layers: NDArray[np.int64]
    vectors: States

    def of(self, rows: Rows) -> States:
        """Return the vectors of these questions."""
        return self.vectors[np.searchsorted(self.rows, rows)]


def vectors_at(context: Run, condition: ModelCondition, name: str) -> StepVectors:
    """Return what a step of the condition that every run records holds of the questions that were
    read.
    """
    found = _vectors(context, condition, name)
    assert found is not None
    return found


def _vectors(context: Run, condition: ModelCondition, name: str) -> StepVectors | None:
    """Return what a step holds of the questions that were read; None where the run did not record
    it.
    """
    stage, rows = context.stage(condition.readings), _rows_read(context, condition)
    states = states_of_stage(stage)
    if name == DISTRIBUTION:
        last = np.array([states.shape[1] - 1])
        scale: Floats = stage.tensors("readings")["distribution"].astype(np.float64)
        return StepVectors(rows, last, log_of(scale)[:, None])
    if name == BEFORE_ANSWERING:
        asked = question_end_states(stage)
        if asked is None:
            return None
        layers = np.arange(asked.shape[1])[::-THINNED][::-1]
        return StepVectors(rows, layers, asked[:, layers])
    at = "confidence" if name == AT_CONFIDENCE else "answer_end"
    found = states[:, :, run_positions(context).index(at)]
    return StepVectors(rows, np.arange(states.shape[1]), found)


def _table(reading: Reading, split: Split) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "step": reading.step.name,
            ROW: np.r_[split.train, split.test],
            "score": np.r_[reading.step.training, reading.step.held_out],
        }
    )


def distributions(context: Run, condition: ModelCondition, rows: Rows) -> Floats:
    """Return the distribution over the scale that was kept of the questions ``rows``, [rows,
    values].
    """
    held: Floats = context.stage(condition.readings).tensors("readings")["distribution"]
    return held[np.searchsorted(_rows_read(context, condition), rows)]


def steps_of(context: Run, condition: ModelCondition, split: Split) -> tuple[Step, ...]:
    """Return the steps of a condition in the order of STEPS, without those the run has not."""
    return tuple(_steps(context, condition, split))


def _steps(context: Run, condition: ModelCondition, split: Split) -> Iterator[Step]:
    kept, base = (
        context.stage(steps_stage(each.name)).table("steps") for each in (condition, BEFORE)
    )
    said = context.stage(condition.readings).table("confidence").set_index(ROW)
    columns = {MEAN: "expected", TEXT: "stated"}
    for name in STEPS:
        if name in columns:
            scores = said[columns[name]]
        else:
            held = base if name == BEFORE_ANSWERING else kept
            mine = held[held["step"] == name]
            if mine.empty:
                continue
            scores = mine.set_index(ROW)["score"]
        train, test = (
            scores.loc[rows.tolist()].to_numpy(dtype=float) for rows in (split.train, split.test)
        )
        yield Step(name, train, test)
