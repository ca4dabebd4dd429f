"""List what the loop measures of each question that targets can be made from: a name, the stage
that measures it, its values.

Values are per training question and may become targets, so none may depend on the grade of its
question (a probe's are cross-fitted). A new source is a new row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.elicit.conversation import POSITIONS
from workbench.errors import WorkbenchError
from workbench.loop.answers import right_answers
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.loop.states import states_of_stage
from workbench.pipeline.store import ROW
from workbench.probe.states import States
from workbench.teach.recipes import PROBE, Arm
from workbench.teach.target_inputs import TargetInputs, check_both_kinds
from workbench.teach.targets import check_targets
from workbench.teach.training_job import StatesAt


@dataclass(frozen=True)
class Source:
    """A source of targets: ``values`` gives [rows] of the questions with the given numbers, once
    ``stage`` has finished.
    """

    stage: str
    values: Callable[[Run, NDArray[np.int64]], NDArray[np.float64]]


def _probe(context: Run, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    table = context.stage("probe").table("probabilities").set_index(ROW)
    return table["probability"].loc[rows.tolist()].to_numpy(dtype=np.float64)


def _consistency(context: Run, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    table = context.stage("samples").table("consistency").set_index(ROW)
    return table["modal_share"].loc[rows.tolist()].to_numpy(dtype=np.float64)


SOURCES: Mapping[str, Source] = {
    "probe": Source("probe", _probe),
    "consistency": Source("samples", _consistency),
}


def source_named(name: str) -> Source:
    """Return the source of this name.

    Raises:
        WorkbenchError: for an unknown name; it lists the known ones.
    """
    if name not in SOURCES:
        raise WorkbenchError(
            f"Targets cannot be made from {name!r}; choose among {', '.join(SOURCES)}."
        )
    return SOURCES[name]


@dataclass(frozen=True)
class TrainingTargets:
    """The rows and targets an arm is trained on.

    Attributes:
        usable: rows the arm draws from.
        row: [n] rows it is trained on.
        target: [n] probabilities to state.
        level: [n] levels from which the targets come, for arms that compare questions.
    """

    usable: NDArray[np.int64]
    row: NDArray[np.int64]
    target: NDArray[np.float64]
    level: NDArray[np.float64] | None


def main_arm(context: Run) -> Arm:
    """Return the arm of the probe recipe that the whole loop trains, by the configured target."""
    return PROBE.arm({"distribution": "soft", "text": "hard"}[context.config.teach.target])


def states_of(context: Run, rows: NDArray[np.int64]) -> StatesAt:
    """Return, by name of a position, the base model's residual stream there [rows, layers,
    width].
    """

    def states(position: str) -> States:
        kept = states_of_stage(context.stage("elicit"))
        return kept[rows][:, :, POSITIONS.index(position)]

    return states


def training_targets(context: Run, arm: Arm) -> TrainingTargets:
    """Return the rows and targets ``arm`` is trained on, from the run's finished stages. No model
    is needed.

    Raises:
        WorkbenchError: where the arm cannot be trained on these questions.
    """
    inputs = target_inputs_of(context, arm)
    rows, targets = inputs.row, arm.targets(inputs)
    levels = None if arm.bin_accuracy is None else arm.bin_accuracy(inputs)
    if arm.subset is not None:
        chosen = arm.subset(inputs)
        check_both_kinds(inputs.correct[chosen])
        rows, targets = rows[chosen], targets[chosen]
        levels = None if levels is None else levels[chosen]
    check_targets(targets)
    return TrainingTargets(inputs.row, rows, targets, levels)


def target_inputs_of(context: Run, arm: Arm) -> TargetInputs:
    """Return the values from which ``arm`` makes its targets: grades, domains and its sources of
    the training questions that ``teach.calibration_fraction`` does not keep back.

    Raises:
        WorkbenchError: where all answers are right or all wrong.
    """
    questions, _ = load_questions(context)
    train = questions[questions["split"] == "train"]
    kept_share = context.config.teach.calibration_fraction
    if kept_share:
        kept = np.random.default_rng(context.config.seed).permutation(len(train))[
            : round(kept_share * len(train))
        ]
        train = train.drop(index=train.index[kept])
    rows = train[ROW].to_numpy()
    correct = right_answers(context, rows)
    check_both_kinds(correct)
    return TargetInputs(
        row=rows,
        correct=correct,
        domain=train["domain"].to_numpy(dtype=str),
        sources={name: source_named(name).values(context, rows) for name in arm.sources},
        seed=context.config.seed,
    )


def kept_back_rows(context: Run, usable: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the training questions that are not among the ``usable`` ones, from which an arm draws
    its examples.
    """
    questions, _ = load_questions(context)
    train = questions[ROW][questions["split"] == "train"].to_numpy()
    return train[~np.isin(train, usable)]
