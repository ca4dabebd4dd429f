"""Ask questions in one format, grade the answers and measure the confidence (``workbench elicit``).

The table is that of :class:`workbench.api.confidence.Asked`; answers that could not be graded are
counted and left out of what needs the grade. The summary judges the stated text and the exact
expectation by AUROC2 and ECE, and a choice between two questions by how often it prefers the one
answered correctly, among pairs of which exactly one was.

The summary does not show differences between domains, which a pooled AUROC2 mixes in; measure the
table by domain for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from workbench.api.confidence import ask
from workbench.api.summary import summarise_confidence
from workbench.config import RunConfig
from workbench.elicit.answer import Limits
from workbench.elicit.answer_table import THOUGHT, truncated_thoughts, ungraded_replies
from workbench.elicit.defaults import LIMITS, limits_of
from workbench.elicit.format import Format
from workbench.elicit.formats import FORMATS, configured, format_for, format_named
from workbench.elicit.pairs import ask_pairs, neighbours
from workbench.errors import WorkbenchError
from workbench.experiments.parameters import Parameters
from workbench.experiments.questions import experiment_questions
from workbench.loop import run_stages
from workbench.loop.run import Run
from workbench.measure import Estimate, wilson_interval
from workbench.models import LanguageModel
from workbench.models.embedded_models import title_of
from workbench.models.turn import History
from workbench.pipeline.stages import STRICT, Reuse, Stage
from workbench.pipeline.store import RunStore, StageStore
from workbench.questions import Question, prompt_text
from workbench.report import Page
from workbench.settings.defaults import TOKENS_PER_FORWARD

PLAIN = FORMATS["percent"]
STAGE = "elicitation"


def elicit_questions(
    lm: LanguageModel,
    questions: Sequence[Question],
    fmt: Format,
    *,
    thinking: Literal["off", "on"] = "off",
    thinking_history: History = "template",
    limits: Limits = LIMITS,
    tokens_per_forward: int = TOKENS_PER_FORWARD,
) -> pd.DataFrame:
    """Ask the questions and return the table of :meth:`workbench.api.confidence.Asked.table`."""
    asked = ask(
        lm,
        questions,
        fmt,
        record=(),
        thinking=thinking,
        thinking_history=thinking_history,
        limits=limits,
        tokens_per_forward=tokens_per_forward,
    )
    return asked.table()


def compare_questions(
    lm: LanguageModel,
    questions: Sequence[Question],
    fmt: Format,
    *,
    seed: int,
    limits: Limits = LIMITS,
    tokens_per_forward: int = TOKENS_PER_FORWARD,
) -> pd.DataFrame:
    """Compare as many pairs as there are questions, drawn by ``seed``; return the table of
    :func:`workbench.elicit.ask_pairs`, graded.

    Adds id_1 and id_2, and correct_1 and correct_2: whether the question was answered correctly
    when asked alone in a second conversation, whose confidence is not kept.
    """
    pairs = neighbours(len(questions), seed)
    answers = elicit_questions(
        lm, questions, PLAIN, limits=limits, tokens_per_forward=tokens_per_forward
    )
    table = ask_pairs(
        lm,
        [prompt_text(question) for question in questions],
        pairs,
        format_for(fmt.name, lm.tokenizer) if fmt.name in FORMATS else fmt,
        tokens_per_forward=tokens_per_forward,
    )
    for place in (1, 2):
        rows = table[f"q{place}"].to_numpy()
        table[f"id_{place}"] = answers["id"].to_numpy()[rows]
        table[f"correct_{place}"] = answers["correct"].array[rows]
    return table


def summary_of(table: pd.DataFrame, *, seed: int, resamples: int) -> dict[str, float]:
    """Estimate accuracy, parse rate, and AUROC2 and ECE of the stated text and of the expectation;
    count n, ungraded answers and truncated thoughts (of a model that thinks), and give the mean
    mass on the scale.

    Raises:
        WorkbenchError: if no answer could be graded.
    """
    graded, cut = table[table["correct"].notna()], truncated_thoughts(table)
    if graded.empty:
        more = "; raise the bound on thoughts" if cut.get(THOUGHT) == len(table) else ""
        raise WorkbenchError(
            "None of the answers could be graded; the table is written, its confidence cannot be "
            f"judged{more}."
        )
    found: dict[str, float] = {
        "n": float(len(table)),
        "ungraded": float(ungraded_replies(table)),
        **{f"truncated_{name}s": float(count) for name, count in cut.items()},
        "mass": float(table["mass"].mean()),
    }
    for name, estimate in summarise_confidence(table, resamples=resamples, seed=seed).items():
        found |= estimate.to_dict(name)
    return found


def pair_summary(table: pd.DataFrame) -> dict[str, float]:
    """Return n pairs, parse_rate, mass, first_place (mean probability of the question shown first),
    swap_consistency, and agreement.

    Agreement: among pairs with one right answer, how often ``combined`` prefers its question, ties
    half; with a Wilson interval. Both orders count in the first three.
    """
    shown, swapped = table["p_first"].to_numpy(), table["p_first_swapped"].to_numpy()
    graded = (table["correct_1"].notna() & table["correct_2"].notna()).to_numpy(dtype=bool)
    right, left = (
        table[name].fillna(False).to_numpy(dtype=bool) for name in ("correct_1", "correct_2")
    )
    mixed = graded & (right != left)
    towards_right = np.where(right, table["combined"], 1 - table["combined"])[mixed]
    agreed = float((towards_right > 0.5).sum() + 0.5 * (towards_right == 0.5).sum())
    found: dict[str, float] = {
        "n": float(len(table)),
        "parse_rate": float(
            table[["chose_first", "chose_first_swapped"]].notna().to_numpy().mean()
        ),
        "mass": float(table[["mass", "mass_swapped"]].to_numpy().mean()),
        "first_place": float((shown + 1 - swapped).mean() / 2),
        "swap_consistency": float(table["consistent"].mean()),
        "ungraded_pairs": float((~graded).sum()),
        "mixed_pairs": float(mixed.sum()),
    }
    if mixed.any():
        low, high = (float(bound) for bound in wilson_interval(agreed, mixed.sum()))
        found |= Estimate(agreed / mixed.sum(), low, high, int(mixed.sum())).to_dict("agreement")
    return found


@dataclass(frozen=True)
class ElicitationResults:
    """The table of one format's questions, or pairs of them, and its summary."""

    config: RunConfig
    table: pd.DataFrame
    summary: Mapping[str, float]
    precision: str


def run_elicitation(
    config: RunConfig,
    folder: Path,
    parameters: Parameters | None = None,
    *,
    figures: Path | None = None,
    reuse: Reuse = STRICT,
) -> ElicitationResults:
    """Ask the questions of ``config`` in its format once, and measure the confidence.

    A format that compares two questions is asked as many pairs as there are questions. There are no
    parameters besides settings, and no figures.
    """
    context = Run(config, RunStore(folder), folder, reuse=reuse)
    stage = Stage(STAGE, read_elicitation, ("model", "questions", "elicit", "seed"))
    run_stages([stage], context)
    table = context.stage(STAGE).table("elicitation")
    pairs = format_named(config.elicit.format).layout == "pair"
    summary = (
        pair_summary(table)
        if pairs
        else summary_of(table, seed=config.seed, resamples=config.bootstrap_resamples)
    )
    return ElicitationResults(config, table, summary, context.stage(STAGE).facts()["precision"])


def read_elicitation(context: Run, stage: StageStore) -> dict[str, Any]:
    """Ask the questions: the table ``elicitation``."""
    config, elicit = context.config, context.config.elicit
    fmt, limits = configured(format_named(elicit.format), elicit), limits_of(elicit)
    questions = experiment_questions(config)
    budget = config.model.tokens_per_forward
    if fmt.layout == "pair":
        table = compare_questions(
            context.lm,
            questions,
            fmt,
            seed=config.seed,
            limits=limits,
            tokens_per_forward=budget,
        )
    else:
        table = elicit_questions(
            context.lm,
            questions,
            fmt,
            thinking=elicit.thinking,
            thinking_history=elicit.thinking_history,
            limits=limits,
            tokens_per_forward=budget,
        )
    stage.save_table("elicitation", table)
    return {"precision": context.lm.precision}


def page_of(results: ElicitationResults) -> Page:
    """Return the page: the summary, with the table as a file."""
    config = results.config
    return Page(
        f"How sure does {title_of(config.model.name)} say it is, asked as {config.elicit.format}?",
        [],
        results.summary,
        config.model_dump(mode="json"),
        {"elicitation.csv": results.table},
        notes=[f"{len(results.table)} rows, matrix products in {results.precision}"],
    )
