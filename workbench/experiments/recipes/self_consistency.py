"""Run the stage that samples answers: how often a training question's samples say the same.

Self-consistency is the share of the most frequent answer among ``measure.consistency_samples``
answers drawn at temperature 1 from the whole distribution, at the prompt the greedy answer was
generated from. Only training questions are sampled, because targets are made from it. It does not
show whether the most frequent answer is right, or is the one the model gave.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.elicit.baselines.answered_question import ask
from workbench.elicit.baselines.evidence import run_pass_table
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.pipeline.store import ROW, StageStore


def sample(context: Run, stage: StageStore) -> dict[str, Any]:
    """Sample answers to the training questions, and save the tables "samples" and "consistency"
    (row, modal_share).
    """
    config = context.config
    table, questions = load_questions(context)
    rows = np.flatnonzero(table["split"] == "train")
    answered = context.stage("answer").table("answers")["answer"]
    asked = ask(
        context.lm.tokenizer,
        context.fmt,
        [questions[row] for row in rows],
        answered.loc[rows.tolist()].tolist(),
    )
    settings = BaselineSettings(
        samples=config.measure.consistency_samples,
        answer_tokens=config.elicit.answer_tokens,
        format=config.elicit.format,
        tokens_per_forward=config.model.tokens_per_forward,
        seed=config.seed,
    )
    evidence = run_pass_table(context.lm, asked, ("samples",), (), settings, stage)
    samples = evidence.tables["samples"]
    share = evidence.consistency["modal_share"].to_numpy()
    stage.save_table("samples", samples.assign(**{ROW: rows[samples[ROW]]}))
    stage.save_table("consistency", pd.DataFrame({ROW: rows, "modal_share": share}))
    return {
        "samples": settings.samples,
        "questions": len(rows),
        "modal_share": float(share.mean()),
    }
