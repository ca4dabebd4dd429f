"""Compare several models or checkpoints: their waterfalls side by side on one scale, in the order
given, their verdicts and their losses.

Every run is judged by its own answers, so two bars of one step differ in the questions that are
right as well as in what is known of them; no difference between runs is tested here. Runs of one
format only are compared, for other words and scales make other steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.conditions import CONDITIONS, ModelCondition
from workbench.experiments.text_bottleneck.page import verdict_row, warnings_of, waterfall_panel
from workbench.experiments.text_bottleneck.record import Followed, record_rows
from workbench.experiments.text_bottleneck.results import ConditionResult
from workbench.experiments.text_bottleneck.tables import steps_table
from workbench.models.embedded_models import title_of
from workbench.pipeline.store import code_version
from workbench.plots.waterfall import WaterfallFigure
from workbench.report import Page, Section


def compare(followed: Sequence[Followed]) -> Page:
    """Return the page of several runs, in their order.

    Raises:
        WorkbenchError: for less than two runs, and runs of different formats.
    """
    if len(followed) < 2:
        raise WorkbenchError("A comparison needs at least two runs.")
    _check_formats(followed)
    settings = {each.name: each.results.config.model_dump(mode="json") for each in followed}
    return Page(
        f"Where do {len(followed)} models lose what they know?",
        [_waterfalls(followed, each) for each in _shared(followed)],
        {
            f"{each.name}.{key}": value
            for each in followed
            for key, value in each.results.summary().items()
        },
        settings,
        {"steps.csv": _steps(followed), "losses.csv": losses_table(followed)},
        lead=[
            ("Verdicts", _verdicts(followed)),
            ("What is lost from step to step, AUROC2 within domain", _losses(followed)),
        ],
        notes=(
            " → ".join(
                f"{each.name} ({title_of(each.results.config.model.name)})" for each in followed
            ),
            *_other_questions(followed),
            *(f"{each.name}, {line}" for each in followed for line in warnings_of(each.results)),
        ),
        records={
            "text_bottleneck.json": {
                "code": code_version(),
                "settings": settings,
                "rows": record_rows(followed),
            }
        },
    )


def losses_table(followed: Sequence[Followed]) -> pd.DataFrame:
    """Write the losses as a table, one row a run, condition and pair of neighbouring steps."""
    return pd.DataFrame(
        [
            {
                "run": each.name,
                "condition": one.when,
                "first": loss.first,
                "second": loss.second,
                **loss.within.to_dict("auroc2_within"),
                **loss.gain.to_dict("bits"),
            }
            for each in followed
            for one in each.results.conditions
            for loss in one.waterfall.losses
        ]
    )


def _check_formats(followed: Sequence[Followed]) -> None:
    first = followed[0]
    for each in followed[1:]:
        asked, other = (one.results.config.elicit.format for one in (first, each))
        if asked != other:
            raise WorkbenchError(
                f"{first.name} was asked in the format {asked!r} and {each.name} in {other!r}: "
                "compare runs of one format."
            )


def _other_questions(followed: Sequence[Followed]) -> list[str]:
    asked = [(each.results.config.questions, each.results.config.seed) for each in followed]
    if all(each == asked[0] for each in asked):
        return []
    return [
        "The runs were asked different questions (their settings differ), so their bars differ by "
        "questions as well as by models."
    ]


def _shared(followed: Sequence[Followed]) -> list[ModelCondition]:
    """Return the conditions that more than one run was followed in."""
    counts = [one.condition for each in followed for one in each.results.conditions]
    return [each for each in CONDITIONS.values() if counts.count(each) > 1]


def _in(followed: Sequence[Followed]) -> list[tuple[str, ConditionResult]]:
    return [
        (each.name, one)
        for condition in CONDITIONS.values()
        for each in followed
        for one in each.results.conditions
        if one.condition == condition
    ]


def _waterfalls(followed: Sequence[Followed], condition: ModelCondition) -> Section:
    figure = WaterfallFigure(
        panels={
            name: waterfall_panel(one) for name, one in _in(followed) if one.condition == condition
        },
        title=f"What is left of what each knows, {condition.label}",
        caption=", ".join(f"{each.name}: {each.results.held_out} held out" for each in followed),
    )
    return Section(
        condition.label.capitalize(),
        "Each bar is a reading of a run's held-out questions, judged by its own answers, in the "
        "order in which the runs were given. Orange: the step before which most is lost.",
        figure.figure(),
        f"waterfall-{condition.name}",
    )


def _verdicts(followed: Sequence[Followed]) -> list[dict[str, str]]:
    return [{"run": name, **verdict_row(one)} for name, one in _in(followed)]


def _losses(followed: Sequence[Followed]) -> list[dict[str, str]]:
    pairs = dict.fromkeys(
        f"{loss.first} → {loss.second}" for _, one in _in(followed) for loss in one.waterfall.losses
    )
    return [
        {"run": name, "condition": one.label}
        | dict.fromkeys(pairs, "–")
        | {f"{loss.first} → {loss.second}": f"{loss.within:.2f}" for loss in one.waterfall.losses}
        for name, one in _in(followed)
    ]


def _steps(followed: Sequence[Followed]) -> pd.DataFrame:
    return pd.concat(
        [steps_table(each.results).assign(run=each.name) for each in followed], ignore_index=True
    )
