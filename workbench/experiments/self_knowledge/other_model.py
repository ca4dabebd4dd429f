"""Find another model that was asked the same questions: a finished run, or a run made for it.

The run must hold its answers and its states at the question's end. Questions are matched by number
and wording; each keeps the side of the split that it has in the run that is tested, so that nothing
is fitted on a held-out question. The two models need not share a format, a tokenizer or a width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.arrays import Bools, Rows
from workbench.errors import WorkbenchError
from workbench.experiments.finished_run import (
    PROBED,
    open_or_make_probed_run,
    read_probed_run,
)
from workbench.experiments.text_bottleneck.subjects import find_subjects
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.loop.states import question_end_states
from workbench.pipeline.stages import Reuse
from workbench.pipeline.store import ROW
from workbench.probe.states import States

FEWEST_SHARED = 40
"""Training and held-out questions that both models must have been asked, at least, of each side."""


@dataclass(frozen=True, eq=False)
class OtherModel:
    """Another model's run.

    Attributes:
        name: of its run.
        run: the run; its questions, answers and states stand.
    """

    name: str
    run: Run

    @property
    def keys(self) -> Mapping[str, str]:
        """The keys of its stages, by the run's name and the stage."""
        return {f"{self.name}/{stage}": self.run.keys[stage] for stage in PROBED}


@dataclass(frozen=True, eq=False)
class SharedQuestions:
    """The questions that both models answered and that could be graded for both.

    Attributes:
        rows: [n] in the run that is tested.
        correct: [n] whether the other model's answer is right.
        states: [n, layers, width] the other model's at the question's end.
    """

    rows: Rows
    correct: Bools
    states: States


def find_other_model(run: Run, other: str, reuse: Reuse) -> OtherModel:
    """Return the run ``other``: a name in this run's folder of runs, a folder, or a model, of which
    a run on the same questions is made first.

    Raises:
        WorkbenchError: for a name that is neither, the run itself, and a run without states at the
            question's end.
    """
    runs = run.store.folder.parent
    (subject,) = find_subjects([other], runs, teaching=False)
    folder = subject.runs / subject.name
    if folder.resolve() == run.store.folder.resolve():
        raise WorkbenchError(
            f"other names the run itself, {folder.name}; name another model or another run."
        )
    if subject.model is None:
        found = read_probed_run(folder, run.figures)
    else:
        config = run.config.model_copy(
            update={"model": run.config.model.model_copy(update={"name": subject.model})}
        )
        found = open_or_make_probed_run(config, folder, _figures(run.figures, folder), reuse)
    if question_end_states(found.stage("elicit")) is None:
        raise WorkbenchError(
            f"The run in {folder} holds no states at the question's end, because reasoning stands "
            "between question and answer; name a run in a format without reasoning."
        )
    return OtherModel(folder.name, found)


def _figures(figures: Path, folder: Path) -> Path:
    return figures.parent / folder.name


def shared_questions(run: Run, other: Run) -> SharedQuestions:
    """Return the questions that both runs asked and graded.

    Raises:
        WorkbenchError: where they share too few on either side.
    """
    mine, _ = load_questions(run)
    theirs, _ = load_questions(other)
    graded = other.stage("answer").table("answers").dropna(subset=["correct"])
    theirs = theirs.merge(graded[[ROW, "correct"]], on=ROW)[[ROW, "id", "question", "correct"]]
    both = mine.merge(theirs, on=["id", "question"], suffixes=("", "_other")).sort_values(ROW)
    both = both[both["split"].isin(("train", "test"))]
    for side in ("train", "test"):
        count = int((both["split"] == side).sum())
        if count < FEWEST_SHARED:
            raise WorkbenchError(
                f"The two runs share {count} graded questions of the side {side!r}, and need at "
                f"least {FEWEST_SHARED}; ask both models the same questions, and more of them."
            )
    states = question_end_states(other.stage("elicit"))
    assert states is not None  # find_other_model has asked
    return SharedQuestions(
        both[ROW].to_numpy(),
        both["correct"].to_numpy(dtype=bool),
        states[both[f"{ROW}_other"].to_numpy()],
    )


def sides_of(run: Run, rows: Rows) -> tuple[Rows, Rows]:
    """Return which of ``rows`` are training questions of the run, and which are held out, as
    places in ``rows``.
    """
    questions, _ = load_questions(run)
    split = questions.set_index(ROW)["split"].loc[rows.tolist()].to_numpy(dtype=str)
    return np.flatnonzero(split == "train"), np.flatnonzero(split == "test")
