"""Score the same greedy answers by every training-free baseline, open questions and choices.

A set of questions has two stages in a separate folder: the answers, which are those of the main
loop, and the baselines. Nothing is trained and no answer changes. See :mod:`.results` for the
measures, their sign and what they do not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from workbench.config import RunConfig
from workbench.elicit.baselines.answered_question import ask
from workbench.elicit.baselines.compare import compare
from workbench.elicit.baselines.evidence import Evidence
from workbench.elicit.baselines.run import run_passes, score_baselines, select_baselines
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.elicit.formats import configured, format_named, require_no_thought
from workbench.errors import WorkbenchError
from workbench.experiments.baselines.results import BaselineResults, BaselineRun
from workbench.experiments.parameters import Parameters
from workbench.experiments.questions import experiment_questions
from workbench.loop.answers import answers, save_answers
from workbench.loop.inputs import inputs_of
from workbench.loop.run import Run
from workbench.models.embedded_models import title_of
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages
from workbench.pipeline.store import ROW, RunStore, StageStore, fingerprint
from workbench.questions import Question, choice_questions
from workbench.settings.errors import explained

OPEN, CHOICE = "open", "choice"
ANSWER, BASELINES = "answer", "baselines"


class BaselineParameters(Parameters):
    """The parameters: how answers are sampled, and which baselines are compared."""

    samples: int = Field(10, ge=2, le=10_000, description="sampled answers of each question")
    temperature: float = Field(1.0, ge=0.01, le=100, description="of the samples")
    top_p: float = Field(
        1.0, gt=0, le=1, description="share of the distribution that is sampled from"
    )
    open_baselines: tuple[str, ...] = Field((), description="on open questions; none for all")
    choice_baselines: tuple[str, ...] = Field(
        (
            "expected",
            "likelihood",
            "first_entropy",
            "p_ic",
            "max_softmax",
            "p_true",
            "agreement",
            "weighted_agreement",
        ),
        description="on the same questions as choices; none for all",
    )


def run_baselines(
    config: RunConfig,
    folder: Path,
    parameters: BaselineParameters,
    *,
    figures: Path | None = None,
    reuse: Reuse = STRICT,
) -> BaselineResults:
    """Compare baselines on open questions, and on the same ones as choices; resume what was begun.

    The options of a choice are answers to other questions of the domain.
    """
    settings = settings_of(
        config,
        samples=parameters.samples,
        temperature=parameters.temperature,
        top_p=parameters.top_p,
    )
    questions = experiment_questions(config)
    choices = choice_questions(questions, config.questions.options, config.seed)
    runs = {
        name: compare_baselines(config, settings, names or None, folder / name, asked, reuse)
        for name, names, asked in (
            (OPEN, parameters.open_baselines, questions),
            (CHOICE, parameters.choice_baselines, choices),
        )
    }
    return BaselineResults(runs, config, settings)


def compare_baselines(
    config: RunConfig,
    settings: BaselineSettings,
    names: Sequence[str] | None,
    folder: Path,
    questions: Sequence[Question] | None = None,
    reuse: Reuse = STRICT,
) -> BaselineRun:
    """Answer questions greedily and score the answers by every baseline of ``names`` (None: all
    that apply).

    Args:
        config: model, questions, length of answers, resamples and seed.
        folder: where the stages are kept.
        questions: instead of those ``config`` names.
        reuse: whether stages of other settings may be replaced, and those of other code continued.

    Raises:
        WorkbenchError: where the formats of answers and baselines differ, a baseline does not
            apply, or no answer could be graded.
    """
    if settings.format != config.elicit.format:
        raise WorkbenchError(
            "The baselines must use the format of the answers; set both to the same."
        )
    asked = tuple(experiment_questions(config) if questions is None else questions)
    context = Run(config, RunStore(folder), folder, reuse=reuse)
    inputs = {
        **inputs_of(config),
        "the questions": fingerprint([[q.id, q.text, q.answers, q.kind, q.options] for q in asked]),
    }
    read = ("model", "questions", "elicit", "seed")
    given = {"baselines": settings.model_dump(mode="json"), "scored": names or "all that apply"}
    stages = [
        Stage(ANSWER, partial(answer, questions=asked), read),
        Stage(
            BASELINES,
            partial(score, questions=asked, names=names, settings=settings),
            read,
            (ANSWER,),
            given=given,
        ),
    ]
    run_stages(stages, context, inputs)
    return _measured(context, asked, settings)


def answer(context: Run, stage: StageStore, *, questions: tuple[Question, ...]) -> dict[str, Any]:
    """Answer and grade the questions."""
    rows = np.arange(len(questions))
    return save_answers(
        context, stage, answers(context, context.lm, stage, questions, rows, "answering")
    )


def score(
    context: Run,
    stage: StageStore,
    *,
    questions: tuple[Question, ...],
    names: Sequence[str] | None,
    settings: BaselineSettings,
) -> dict[str, Any]:
    """Score the answers by every baseline: the table ``baselines``."""
    replies = context.stage(ANSWER).table("answers")
    asked = ask(context.lm.tokenizer, context.fmt, questions, list(replies["answer"]))
    chosen = select_baselines(asked, names)
    evidence = run_passes(context.lm, asked, chosen, settings, stage)
    stage.save_table("baselines", score_baselines(evidence, chosen))
    return {"groups": _groups(evidence)}


def settings_of(config: RunConfig, **changes: Any) -> BaselineSettings:
    """Make baseline settings that fit ``config``, with ``changes``.

    Raises:
        WorkbenchError: naming the setting that is out of range, and for thinking on.
    """
    elicit, model = config.elicit, config.model
    require_no_thought(
        configured(format_named(elicit.format), elicit), "Baselines without training"
    )
    common = {"format": elicit.format, "answer_tokens": elicit.answer_tokens, "seed": config.seed}
    try:
        return BaselineSettings(
            **{**common, "tokens_per_forward": model.tokens_per_forward, **changes}
        )
    except ValidationError as error:
        raise WorkbenchError(explained(error, BaselineSettings, "Baseline setting")) from error


def _measured(
    context: Run, questions: tuple[Question, ...], settings: BaselineSettings
) -> BaselineRun:
    config = context.config
    replies = context.stage(ANSWER).table("answers")
    table = context.stage(BASELINES).table("baselines")
    graded = replies["correct"].notna().to_numpy(dtype=bool)
    correct = replies["correct"][graded].to_numpy(dtype=bool)
    found = compare(
        table[graded[table[ROW].to_numpy()]],
        correct,
        np.array([question.domain for question in questions])[graded],
        resamples=config.bootstrap_resamples,
        seed=config.seed,
    )
    caption = (
        f"{len(correct)} questions, {100 * correct.mean():.0f} % answered rightly, "
        f"{title_of(config.model.name)}, matrix products in "
        f"{context.stage(ANSWER).facts()['precision']}, {settings.samples} samples at temperature "
        f"{settings.temperature:g}"
    )
    return BaselineRun(
        questions,
        tuple(replies["answer"]),
        correct,
        graded,
        table,
        tuple(found),
        context.stage(BASELINES).facts()["groups"],
        caption,
    )


def _groups(evidence: Evidence) -> dict[str, float] | None:
    """Return how the judge of sameness grouped answers. One group throughout, or as many as
    answers, means that it did not judge.
    """
    if "groups" not in evidence.tables:
        return None
    by_row = evidence.tables["groups"].groupby(ROW)
    return {
        "distinct_answers": float(by_row["distinct"].first().mean()),
        "groups": float((by_row["group"].max() + 1).mean()),
        "queries": float(by_row["queries"].first().mean()),
    }
