"""Draw what is there once the questions are answered: the share of right answers in each domain.

All graded answers of the base model count, training questions and held-out ones alike. Intervals
are bootstraps over a domain's questions; a domain whose answers are all right has one without
width, which does not say that the next would be right.
"""

from __future__ import annotations

import numpy as np

from workbench.loop.measure_groups import remember
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.measure import Bootstrap, bootstrap
from workbench.plots import EstimateRow, EstimateRows
from workbench.report import Section


def answers_by_domain(context: Run, draw: Bootstrap, caption: str) -> Section:
    """Draw the share of right answers in each domain, the highest first."""

    def measure() -> list[EstimateRow]:
        questions, _ = load_questions(context)
        table = context.stage("answer").table("answers").dropna(subset=["correct"])
        domain = questions.set_index("row")["domain"].loc[table["row"]].to_numpy()
        correct = table["correct"].to_numpy(dtype=float)
        rows = [
            EstimateRow(
                "answers", name, bootstrap(np.mean, correct[domain == name], **draw.options)
            )
            for name in np.unique(domain).tolist()
        ]
        return sorted(rows, key=lambda row: -row.estimate.value)

    figure = EstimateRows(
        rows=remember(context, "answers by domain", ("answer",), draw, measure),
        axis="share of right answers",
        title="What is answered rightly",
        caption=caption,
    ).figure()
    explanation = (
        "The base model's answers to all questions, by domain. Confidence that tells domains "
        "apart tells right from wrong answers without knowing anything about a single one; the "
        "measures within domain leave that out."
    )
    return Section("Right answers by domain", explanation, figure, "answers")
