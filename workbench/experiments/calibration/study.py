"""Take calibration tuning apart: the runs of :mod:`.run`, measured, and their page.

The study asks how many graded answers it takes, what the penalty on divergence from the base model
does, and how much of the estimate comes from the question alone. It also asks whether what was
learnt holds for another model's answers, another form of question, and questions without an answer.
Intervals are over held-out questions; they do not cover another training seed or another draw of
labels. Where two conditions are compared the paired difference counts, not whether their intervals
overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from workbench.config import Resolved, with_recipe
from workbench.experiments.calibration.metrics import Measurement
from workbench.experiments.calibration.page import ablations_page, sections
from workbench.experiments.calibration.run import AblationPlan, ablate, ablation_lines
from workbench.experiments.parameters import Parameters
from workbench.loop.questions import held_out_rows
from workbench.pipeline.stages import STRICT, Reuse
from workbench.report import Page, Section
from workbench.teach.recipes import CALIBRATION


class CalibrationParameters(Parameters):
    """The parameters: what is trained, and on what else it is judged."""

    form: Literal["open", "choice"] = Field(
        "open", description="form that is taught; the other one is taught and judged too"
    )
    percents: tuple[int, ...] = Field(
        (25, 50), description="per cents of the labels; all labels are always taught"
    )
    other_answers: Path | None = Field(
        None, description="JSONL of graded answers by another model, as answer/graded.jsonl"
    )
    unanswerable: str | None = Field(
        None, description="questions some of which have no answer: a file or a hub set"
    )


@dataclass(frozen=True)
class CalibrationResults:
    """Everything measured, the settings that made it, and the figures.

    Attributes:
        left_out: by name, the reason why it was not done.
    """

    lines: Sequence[Measurement]
    left_out: Mapping[str, str]
    configuration: Mapping[str, Any]
    sections: Sequence[Section]


def run_calibration(
    resolved: Resolved,
    folder: Path,
    parameters: CalibrationParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> CalibrationResults:
    """Train and judge all that is asked for and measure it; resume what was begun."""
    others = parameters.other_answers
    plan = AblationPlan(
        parameters.form,
        parameters.percents,
        None if others is None else others.expanduser(),
        parameters.unanswerable,
    )
    done = ablate(with_recipe(resolved, CALIBRATION.settings), plan, folder, figures, reuse)
    lines, own = ablation_lines(done), done.home.context.config
    caption = (
        f"{own.model.name}, {len(held_out_rows(done.home.context))} held-out questions, taught on "
        f"{plan.form} questions, format {own.elicit.format}"
    )
    configuration = {"plan": plan.described(), "run": own.model_dump(mode="json")}
    return CalibrationResults(lines, done.left_out, configuration, sections(lines, caption))


def page_of(results: CalibrationResults) -> Page:
    """Return the page of the study."""
    return ablations_page(results.lines, results.left_out, results.configuration, results.sections)
