"""All training-free baselines on one set of greedy answers, from the question file to the page:
resumable, without a run.

Stages: questions and answers are those of the loop; then every baseline; nothing is trained and no
answer changes. A folder holds one set of settings; with other settings or code it is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from workbench.config import RunConfig
from workbench.elicit.baselines.answered_question import Asked, ask
from workbench.elicit.baselines.compare import Compared, compare, compared_table
from workbench.elicit.baselines.evidence import Evidence
from workbench.elicit.baselines.run import run_passes, score_baselines, select_baselines
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.errors import WorkbenchError
from workbench.files.ownership import FIGURES, claim_folder
from workbench.files.writing import write_atomically
from workbench.loop.answers import answers
from workbench.loop.run import Run
from workbench.pipeline.stages import STRICT, Reuse, Stage, begin_stage
from workbench.pipeline.store import ROW, RunStore, fingerprint
from workbench.plots.baseline_costs import BaselineCosts, CostedBaseline
from workbench.questions import Question, in_form, questions_from, sample_questions
from workbench.report import Section, write_report
from workbench.settings.errors import explained
from workbench.tables import write_csv


@dataclass(frozen=True)
class BaselineRun:
    """What came out.

    Attributes:
        asked: questions and greedy answers.
        correct: [graded] grades of the answers that could be graded.
        graded: [rows] whether the answer could be.
        table: the tidy table, one line a question and baseline.
        found: one comparison a baseline.
        groups: means over questions of distinct sampled answers, groups the model made of them and
            queries it took; None without.
        caption: what was measured on, for figures.
    """

    asked: tuple[Asked, ...]
    correct: NDArray[np.bool_]
    table: pd.DataFrame
    found: tuple[Compared, ...]
    groups: dict[str, float] | None
    caption: str
    graded: NDArray[np.bool_]

    def figure(self) -> BaselineCosts:
        """AUROC2 against cost."""
        return BaselineCosts(
            baselines=[
                CostedBaseline(
                    one.baseline.title,
                    one.baseline.family,
                    one.tokens,
                    one.pooled,
                    one.within,
                    one.read,
                )
                for one in self.found
            ],
            title="What confidence costs without training",
            caption=self.caption,
        )


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
        folder: where finished batches and the tidy table are kept.
        questions: instead of those ``config`` names.
        reuse: whether batches of other settings may be replaced, and those of other code gone on
            from.
    """
    if settings.format != config.elicit.format:
        raise WorkbenchError(
            "The baselines must use the format of the answers; set both to the same."
        )
    chosen_questions = list(questions) if questions is not None else drawn_questions(config)
    context = Run(config, RunStore(folder), folder, reuse=reuse)
    with context.store.hold():
        return _compared(context, settings, names, chosen_questions)


def _compared(
    context: Run,
    settings: BaselineSettings,
    names: Sequence[str] | None,
    chosen_questions: Sequence[Question],
) -> BaselineRun:
    config = context.config
    given = {
        "run": config.model_dump(mode="json"),
        "baselines": settings.model_dump(mode="json"),
        "the model": context.lm.revision,
        "the questions": fingerprint([[q.id, q.text, q.answers, q.kind] for q in chosen_questions]),
    }
    rows = np.arange(len(chosen_questions))
    answering = begin_stage(Stage("answer", None, given=given), context)
    replies = answers(context, context.lm, answering, chosen_questions, rows, "answering")
    asked = ask(context.lm.tokenizer, context.fmt, chosen_questions, list(replies["answer"]))
    chosen = select_baselines(asked, names)
    own = {"scored": [row.name for row in chosen]}
    stage = begin_stage(Stage("baselines", None, needs=("answer",), given=own), context)
    evidence = run_passes(context.lm, asked, chosen, settings, stage)
    table = score_baselines(evidence, chosen)
    stage.save_table("baselines", table)
    graded = replies["correct"].notna().to_numpy(dtype=bool)
    if not graded.any():
        raise WorkbenchError(
            "None of the answers could be graded; baselines cannot be compared by them."
        )
    correct = replies["correct"][graded].to_numpy(dtype=bool)
    domain = np.array([question.domain for question in chosen_questions])[graded]
    found = compare(
        table[graded[table[ROW].to_numpy()]],
        correct,
        domain,
        resamples=config.bootstrap_resamples,
        seed=config.seed,
    )
    caption = (
        f"{len(correct)} questions, {100 * correct.mean():.0f} % answered rightly, "
        f"{config.model.shown}, matrix products in "
        f"{context.lm.precision}, {settings.samples} samples at temperature "
        f"{settings.temperature:g}"
    )
    return BaselineRun(
        tuple(asked), correct, table, tuple(found), _groups(evidence), caption, graded
    )


def write_baselines(
    runs: Mapping[str, BaselineRun], folder: Path, config: RunConfig, settings: BaselineSettings
) -> Path:
    """Write the page of one or several question sets, by name.

    Beside it stand ``<name>.csv`` (one line a baseline) and ``<name>_scores.csv`` (one line a
    question and baseline).
    """
    claim_folder(folder, FIGURES)
    sections, tables = [], []
    for name, run in runs.items():
        files = {f"{name}.csv": compared_table(run.found), f"{name}_scores.csv": run.table}
        for file, table in files.items():
            write_atomically(folder / file, partial(write_csv, table))
        tables += list(files)
        words = (
            "Each dot scores the same greedy answers. Cost counts the tokens the model computes "
            "for that baseline alone."
        )
        sections.append(
            Section(
                f"Discrimination against cost: {name} questions", words, run.figure().figure(), name
            )
        )
    return write_report(
        folder,
        f"What does {config.model.shown} know without training?",
        sections,
        {key: value for name, run in runs.items() for key, value in summary_of(name, run).items()},
        {**config.model_dump(mode="json"), "baselines": settings.model_dump(mode="json")},
        tables,
        (),
        [
            (f"Every baseline, {name} questions", [shown(one) for one in run.found])
            for name, run in runs.items()
        ],
    )


def shown(one: Compared) -> dict[str, str]:
    """A line of the page's table."""
    return {
        "baseline": one.baseline.title,
        "tokens": f"{one.tokens:.0f}",
        "read": f"{100 * one.read:.0f} %",
        "AUROC2": format(one.pooled, ".3f"),
        "within domain": format(one.within, ".3f"),
    }


def summary_of(name: str, run: BaselineRun) -> dict[str, Any]:
    """Flat summary with dotted keys that begin with ``name``."""
    summary: dict[str, Any] = {
        f"{name}.accuracy": float(run.correct.mean()),
        f"{name}.questions": len(run.asked),
        f"{name}.ungraded": int((~run.graded).sum()),
    }
    for one in run.found:
        key = f"{name}.auroc2.{one.baseline.name}"
        summary |= one.pooled.to_dict(key) | one.within.to_dict(f"{key}.within")
    if run.groups is not None:
        summary |= {f"{name}.{key}": value for key, value in run.groups.items()}
    return summary


def _groups(evidence: Evidence) -> dict[str, float] | None:
    """How the judge of sameness did: one group throughout, or as many as answers, says that it
    did not judge.
    """
    if "groups" not in evidence.tables:
        return None
    by_row = evidence.tables["groups"].groupby(ROW)
    return {
        "distinct_answers": float(by_row["distinct"].first().mean()),
        "groups": float((by_row["group"].max() + 1).mean()),
        "queries": float(by_row["queries"].first().mean()),
    }


def settings_of(config: RunConfig, **changes: Any) -> BaselineSettings:
    """Baseline settings that fit ``config``, with ``changes``."""
    elicit, model = config.elicit, config.model
    common = {"format": elicit.format, "answer_tokens": elicit.answer_tokens, "seed": config.seed}
    try:
        return BaselineSettings(
            **{**common, "tokens_per_forward": model.tokens_per_forward, **changes}
        )
    except ValidationError as error:
        raise WorkbenchError(explained(error, BaselineSettings, "Baseline setting")) from error


def drawn_questions(config: RunConfig) -> list[Question]:
    """The questions ``config`` names, drawn evenly over domains."""
    asked = config.questions
    pool = in_form(
        questions_from(asked.source, asked.mirror), asked.ask_as, asked.options, config.seed
    )
    return sample_questions(pool, config.questions.limit, config.seed)
