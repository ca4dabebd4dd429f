"""Draw discrimination against cost, and make the page of the baselines."""

from __future__ import annotations

import pandas as pd

from workbench.elicit.baselines.compare import Compared, compared_table
from workbench.experiments.baselines.results import BaselineResults, BaselineRun, summary_of
from workbench.models.embedded_models import title_of
from workbench.plots.baseline_costs import BaselineCosts, CostedBaseline
from workbench.report import Page, Section

EXPLANATION = (
    "Each dot scores the same greedy answers. Cost counts the tokens the model computes for that "
    "baseline alone."
)


def page_of(results: BaselineResults) -> Page:
    """Return the page of all sets of questions.

    Next to it are written ``<name>.csv`` (one line per baseline) and ``<name>_scores.csv`` (one
    line a question and baseline).
    """
    runs, config = results.runs, results.config
    tables: dict[str, pd.DataFrame] = {}
    for name, run in runs.items():
        tables |= {f"{name}.csv": compared_table(run.found), f"{name}_scores.csv": run.table}
    return Page(
        f"What does {title_of(config.model.name)} know without training?",
        [
            Section(
                f"Discrimination against cost: {name} questions",
                EXPLANATION,
                cost_figure(run).figure(),
                name,
            )
            for name, run in runs.items()
        ],
        {key: value for name, run in runs.items() for key, value in summary_of(name, run).items()},
        {
            **config.model_dump(mode="json"),
            "baselines": results.settings.model_dump(mode="json"),
        },
        tables,
        [
            (f"Every baseline, {name} questions", [shown(one) for one in run.found])
            for name, run in runs.items()
        ],
        [f"{name}: {run.caption}" for name, run in runs.items()],
    )


def cost_figure(run: BaselineRun) -> BaselineCosts:
    """Draw AUROC2 against cost."""
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
            for one in run.found
        ],
        title="What confidence costs without training",
        caption=run.caption,
    )


def shown(one: Compared) -> dict[str, str]:
    """Return a line of the page's table."""
    return {
        "baseline": one.baseline.title,
        "tokens": f"{one.tokens:.0f}",
        "read": f"{100 * one.read:.0f} %",
        "AUROC2": format(one.pooled, ".3f"),
        "within domain": format(one.within, ".3f"),
    }
