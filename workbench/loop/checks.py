"""Refuse before any work whatever can be refused then: settings against each other, the questions
and the model's shape.

Nothing here asks a question, loads weights or writes a file. Whether enough answers are right and
enough wrong only the answers can show; :func:`check_answers` is called directly after them.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.config import ModelSettings, ProbeConfig, RunConfig, TeachSettings
from workbench.elicit.bulk.configured import check_engine
from workbench.elicit.formats import configured
from workbench.errors import WorkbenchError
from workbench.loop.questions import drawn_questions
from workbench.loop.run import Run, loop_format
from workbench.models.chat_template import names_template
from workbench.models.quantise import scheme_named
from workbench.models.shape import ModelShape, read_shape
from workbench.probe.folds import FEWEST_PER_CLASS
from workbench.questions import Question, Side
from workbench.teach.targets import FEWEST_EXAMPLES
from workbench.teach.training import check_counts_epochs

FEWEST_PATCHED = 8


def check_run(config: RunConfig) -> None:
    """Refuse a whole loop that cannot finish.

    Raises:
        WorkbenchError: naming the first setting that is wrong, and the mend.
    """
    check_counts_epochs(config.teach)
    check_placement(config.model)
    if config.patch.n_reference > config.patch.n_questions:
        raise WorkbenchError(
            f"patch.n_reference is {config.patch.n_reference} and patch.n_questions "
            f"{config.patch.n_questions}; the loop repeats some of the questions "
            "patched, so set it to at most as many."
        )
    questions, split = check_probed_run(config)
    held_out = sum(side == "test" for side in split.values())
    if held_out < FEWEST_PATCHED:
        raise WorkbenchError(
            f"{held_out} questions are held out, and at least {FEWEST_PATCHED} are patched; "
            f"{_more_questions(config, len(questions))}."
        )
    check_taught(training_questions(split), config.teach.calibration_fraction, "Teaching")
    shape = read_shape(config.model)
    check_teach(config.teach, shape)
    check_layers(config, shape)


def check_placement(model: ModelSettings) -> None:
    """Refuse to teach a model that is read layer by layer, or is on a server.

    Raises:
        WorkbenchError: for such a placement.
    """
    if model.placement == "stream":
        raise WorkbenchError(
            "Teaching needs every layer in memory, and model.placement=stream reads them one by "
            "one; ask and patch such a model with 'workbench elicit', 'trace' and 'patch', or set "
            "model.placement=device."
        )
    if model.placement == "ndif":
        raise WorkbenchError(
            "Teaching changes weights, and with model.placement=ndif they stay on a server; ask, "
            "record and patch such a model with 'workbench elicit', 'trace' and 'patch', or set "
            "model.placement=device."
        )


def check_probed_run(config: RunConfig) -> tuple[list[Question], dict[str, Side]]:
    """Refuse the stages of a loop before teaching where they cannot finish; return the questions
    with their sides.

    Raises:
        WorkbenchError: naming the first setting that is wrong, and the mend.
    """
    check_settings(config)
    scheme_named(config.model.quantize)
    questions, split = drawn_questions(config)
    check_counts(config.probe, split)
    return questions, split


def check_settings(config: RunConfig) -> None:
    """Refuse settings that contradict each other or name what is not there. This needs neither
    model nor questions.

    Raises:
        WorkbenchError: for held-out domains that are not asked, missing files or folders, and a
            format that cannot be asked so.
    """
    fmt = configured(loop_format(config.elicit.format), config.elicit)
    check_engine(config.model, config.elicit)
    questions, template = config.questions, config.model.chat_template
    if fmt.thinking and questions.graded_file is not None:
        raise WorkbenchError(
            "questions.graded_file holds answers without the thoughts they were given after; set "
            "elicit.thinking=off, or leave the file out."
        )
    for key, path in (
        ("model.chat_template", None if template and names_template(template) else template),
        ("questions.graded_file", questions.graded_file),
    ):
        if path is not None and not path.is_file():
            raise WorkbenchError(f"{key}: there is no file {path}; check its path.")
    if questions.mirror is not None and not questions.mirror.is_dir():
        raise WorkbenchError(
            f"questions.mirror: there is no folder {questions.mirror}; check its path."
        )
    outside = [
        name
        for name in questions.held_out_domains
        if questions.domains and name not in questions.domains
    ]
    if outside:
        raise WorkbenchError(
            f"questions.held_out_domains names {outside[0]!r}, which is none of questions.domains; "
            "add it there, or leave it out."
        )


def check_counts(probe: ProbeConfig, split: Mapping[str, Side]) -> None:
    """Refuse training questions that are too few for the probe's folds, however they are
    answered.

    Raises:
        WorkbenchError: if they are too few.
    """
    training = len(training_questions(split))
    fewest = 2 * fewest_of_a_kind(probe)
    if training < fewest:
        raise WorkbenchError(
            f"There are {training} training questions, and a probe with probe.folds={probe.folds} "
            f"and probe.inner_folds={probe.inner_folds} "
            f"needs at least {fewest}, half of them answered rightly; raise questions.limit, or "
            "use fewer folds."
        )


def fewest_of_a_kind(probe: ProbeConfig) -> int:
    """Return how many training answers must be right, and how many wrong, so that every part of the
    nested folds has both.

    Of n answers of a kind, a fold holds out at most n / folds rounded up; the rest must fill the
    inner folds.
    """
    n = max(FEWEST_PER_CLASS, probe.folds)
    while n - math.ceil(n / probe.folds) < probe.inner_folds:
        n += 1
    return n


def check_taught(training: Sequence[str], kept_back: float, who: str) -> None:
    """Refuse training questions that are too few to train on, without the share that is kept back.

    Raises:
        WorkbenchError: if they are too few.
    """
    left = len(training) - round(kept_back * len(training))
    if left < FEWEST_EXAMPLES:
        kept = (
            f", {len(training) - left} of {len(training)} being kept back for its temperature"
            if kept_back
            else ""
        )
        raise WorkbenchError(
            f"{who} needs at least {FEWEST_EXAMPLES} examples, and there are {left} training "
            f"questions{kept}; raise questions.limit, or "
            "questions.train_fraction."
        )


def check_teach(teach: TeachSettings, shape: ModelShape) -> None:
    """Refuse an adapter that does not fit the model.

    Raises:
        WorkbenchError: for its rank, its target modules or its start layer.
    """
    if isinstance(teach.start_layer, int) and teach.start_layer >= shape.n_layers:
        raise WorkbenchError(
            f"teach.start_layer is {teach.start_layer}; the model {shape.name!r} has layers 0 to "
            f"{shape.n_layers - 1}, so choose one of them."
        )
    for module in teach.lora.target_modules:
        if module not in shape.linear:
            near = difflib.get_close_matches(module, shape.linear, n=1)
            meant = (
                f"; did you mean {near[0]!r}?"
                if near
                else f"; it has {', '.join(sorted(shape.linear))}."
            )
            raise WorkbenchError(
                f"teach.lora.target_modules: the model {shape.name!r} has no linear module "
                f"{module!r}{meant}"
            )
    if teach.lora.rank > shape.width:
        raise WorkbenchError(
            f"teach.lora.rank is {teach.lora.rank:,}, and the model {shape.name!r} is "
            f"{shape.width:,} wide, beyond which a rank adds "
            "nothing but memory; choose a smaller one."
        )


def check_layers(config: RunConfig, shape: ModelShape) -> None:
    """Refuse layers to be patched that the model does not have.

    Raises:
        WorkbenchError: if one does not exist.
    """
    outside = [layer for layer in config.patch.layers or () if layer >= shape.n_layers]
    if outside:
        raise WorkbenchError(
            f"patch.layers names {outside[0]}; the model {shape.name!r} has layers 0 to "
            f"{shape.n_layers - 1}, so choose among them, or leave it out for all."
        )


def check_answers(context: Run) -> None:
    """Refuse answers of which too few are right, or too few wrong, for the probes. This is called
    directly after the stage that answers.
    """
    questions = context.stage("questions").table("questions")
    answers = context.stage("answer").table("answers").set_index("row")["correct"]
    check_grades(context.config.probe, *_by_side(questions, answers))


def check_grades(
    probe: ProbeConfig, training: NDArray[np.bool_], held_out: NDArray[np.bool_]
) -> None:
    """Refuse grades that are all alike, and grades of which too few are of one kind.

    Raises:
        WorkbenchError: for such grades.
    """
    for what, grades in (("training", training), ("held-out", held_out)):
        if grades.all() or not grades.any():
            all_are, choose = ("right", "harder") if grades.all() else ("wrong", "easier")
            raise WorkbenchError(
                f"All {len(grades)} {what} answers are {all_are}, so there is nothing to tell "
                f"apart; choose {choose} questions, or more of them."
            )
    right, fewest = int(training.sum()), fewest_of_a_kind(probe)
    wrong = len(training) - right
    if min(right, wrong) < fewest:
        raise WorkbenchError(
            f"Of the {len(training)} training answers {right} are right and {wrong} wrong; a probe "
            f"with probe.folds={probe.folds} and "
            f"probe.inner_folds={probe.inner_folds} needs at least {fewest} of each: use more "
            "questions, a set nearer to half right, or fewer folds."
        )


def _by_side(
    questions: pd.DataFrame, correct: pd.Series
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the grades of each side, without answers that were not graded."""
    rows = [questions["row"][questions["split"] == side].tolist() for side in ("train", "test")]
    training, held_out = (correct.loc[of_side].dropna().to_numpy(dtype=bool) for of_side in rows)
    return training, held_out


def training_questions(split: Mapping[str, Side]) -> list[str]:
    return [name for name, side in split.items() if side == "train"]


def _more_questions(config: RunConfig, drawn: int) -> str:
    limit = config.questions.limit
    return (
        "raise questions.limit"
        if limit is not None and drawn >= limit
        else "use a larger set of questions"
    )
