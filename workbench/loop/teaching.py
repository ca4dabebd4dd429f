"""Run the stages that train an arm of a recipe and its control on shuffled targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.config import TeachSettings
from workbench.elicit.conversation import Conversation
from workbench.elicit.reply_tokens import before_reply
from workbench.loop.answers import questions_and_answers
from workbench.loop.confidence import confidence_conversations, fill_prefixes
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.loop.states import distribution_of
from workbench.loop.targets import kept_back_rows, main_arm, states_of, training_targets
from workbench.patch.start_layer import find_start_layer
from workbench.pipeline.store import ROW, StageStore
from workbench.questions import grade_of
from workbench.teach.adapter import remove_adapter
from workbench.teach.recipes import Arm
from workbench.teach.targets import scale_targets, shuffled_order
from workbench.teach.training import first_layer
from workbench.teach.training_forward import Reply
from workbench.teach.training_job import Grade, TrainingJob


def teach(context: Run, stage: StageStore) -> dict[str, Any]:
    """Train LoRA on the cross-fitted probe targets of the training questions."""
    return teach_arm(context, stage, main_arm(context), seed=context.config.seed, shuffled=False)


def teach_control(context: Run, stage: StageStore) -> dict[str, Any]:
    """Train the control: the same recipe on permuted targets."""
    return teach_arm(context, stage, main_arm(context), seed=context.config.seed, shuffled=True)


def teach_arm(
    context: Run, stage: StageStore, arm: Arm, *, seed: int, shuffled: bool
) -> dict[str, Any]:
    """Train one arm of a recipe, or its control on permuted targets, with the training settings of
    ``context``.
    """
    config = context.config
    aimed = training_targets(context, arm)
    rows, targets, levels = aimed.row, aimed.target, aimed.level
    stage.save_table("kept_back", pd.DataFrame({ROW: kept_back_rows(context, aimed.usable)}))
    if shuffled:
        order = shuffled_order(targets, seed)
        targets, levels = targets[order], None if levels is None else levels[order]
    conversations, (questions, answered) = (
        confidence_conversations(context),
        questions_and_answers(context, rows),
    )
    settings = resolve_start_layer(context, conversations, rows)
    taught = arm.train(
        TrainingJob(
            lm=context.lm,
            fmt=context.fmt,
            numbers=context.scale_tokens,
            questions=questions,
            answers=answered,
            conversations=[conversations[row] for row in rows],
            states=states_of(context, rows),
            targets=targets,
            levels=levels,
            base=distribution_of(context.stage("elicit"))[rows],
            settings=settings,
            seed=seed,
            reply=None if arm.head_reader else _reply(context, conversations, rows),
            folder=stage.folder,
            description=f"teaching {'shuffled' if shuffled else arm.name} targets",
            grade=_permuted(targets) if shuffled else _grades(context, rows),
            answer_limit=config.elicit.answer_tokens,
        )
    )
    remove_adapter(taught.lm)
    written = {"probability": targets, "target": scale_targets(targets, context.fmt.scale)}
    stage.save_table("targets", pd.DataFrame({ROW: rows, **written}))
    stage.save_table("log", pd.DataFrame(taught.log))
    return {
        "questions": len(rows),
        "examples": taught.examples,
        "steps": len(taught.log),
        "tokens": taught.tokens,
        "loss.last": taught.log[-1]["loss"],
        "start_layer": settings.start_layer,
        "precision": context.lm.precision,
        "teach": settings.model_dump(mode="json"),
    }


def resolve_start_layer(
    context: Run, conversations: Sequence[Conversation], rows: NDArray[np.int64]
) -> TeachSettings:
    """Return the run's training settings with ``start_layer`` resolved to a number; ``rows`` are
    the training questions.
    """
    config = context.config
    if config.teach.start_layer != "patching":
        first = first_layer(config.teach, context.lm.n_layers)
        return config.teach.model_copy(update={"start_layer": first})
    order = np.random.default_rng(config.seed).permutation(rows)
    drawn = order[: config.teach.start_layer_questions]
    found = find_start_layer(
        context.lm,
        [conversations[row] for row in np.sort(drawn)],
        context.scale_tokens,
        carried=config.teach.start_layer_slope,
        tokens_per_forward=config.model.tokens_per_forward,
        seed=config.seed,
    )
    return config.teach.model_copy(update={"start_layer": found})


def _grades(context: Run, rows: NDArray[np.int64]) -> Grade | None:
    """Return a grader of other answers to the questions ``rows``; None where a file gives the
    answers with their grades.
    """
    if context.config.questions.graded_file is not None:
        return None
    _, questions = load_questions(context)
    return lambda number, answer: grade_of(answer, questions[rows[number]]).correct


def _permuted(targets: NDArray[np.float64]) -> Grade:
    """Return the grader of the shuffled control: it gives the grade of the base model's answer to
    another question.
    """
    return lambda number, answer: bool(targets[number] > 0.5)


def _reply(
    context: Run, conversations: Sequence[Conversation], rows: NDArray[np.int64]
) -> Reply | None:
    """Return where the adapter acts, with the keys and values of what precedes it."""
    tokens = context.reply
    if tokens is None:
        return None
    for row in rows:
        before_reply(conversations[row], tokens)
    fill_prefixes(context, context.lm, conversations, rows)
    return Reply(tokens, rows.tolist(), context.reply_cache)
