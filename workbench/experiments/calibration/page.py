"""Make the ablations' page: a table and a figure each, and what was left out, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.experiments.calibration.measurements import (
    FORMS,
    LABELS,
    OTHERS,
    PULL,
    SWAPPED,
    UNANSWERABLE,
)
from workbench.experiments.calibration.metrics import (
    AUROC2,
    ECE,
    MEAN,
    POOLED,
    SMOOTH,
    TEMPERED,
    Measurement,
    ablations_summary,
    ablations_table,
)
from workbench.loop.conditions import BEFORE
from workbench.pipeline.store import code_version
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.plots.label_curve import LabelCurve, LabelledPoint, LabelPanel
from workbench.report import Page, Section
from workbench.teach.recipes.calibration import CURVES

TITLE = "What makes calibration tuning work?"
_ACROSS = (BEFORE.name, "embeddings")
MEASURES = (AUROC2, POOLED, ECE, SMOOTH, TEMPERED, MEAN)
HEADINGS: Mapping[str, str] = {
    LABELS: "How many labels it takes",
    PULL: "Without the divergence from the base model",
    SWAPPED: "What the question alone tells",
    OTHERS: "Another model's answers",
    FORMS: "From open questions to choices and back",
    UNANSWERABLE: "Questions without an answer",
}


@dataclass(frozen=True)
class Drawing:
    """A figure of one ablation: one row for each judge, or for each measure where there are
    several, and one colour for each condition.

    Attributes:
        conditions: those shown; none for all.
        bound: position of a second line.
    """

    ablation: str
    measures: tuple[str, ...]
    name: str
    explanation: str
    conditions: tuple[str, ...] = ()
    bound: float | None = None

    def rows(self, lines: Sequence[Measurement]) -> list[EstimateRow]:
        """Return the rows it shows of ``lines``."""
        return [
            EstimateRow(
                line.condition,
                line.judge if len(self.measures) == 1 else line.measure,
                line.estimate,
            )
            for line in lines
            if line.ablation == self.ablation
            and line.measure in self.measures
            and (not self.conditions or line.condition in self.conditions)
        ]


_CHANCE = "0.5 is chance, 1 tells every right answer from every wrong one."
DRAWINGS = (
    Drawing(
        PULL,
        (AUROC2, ECE, TEMPERED),
        "divergence",
        "The query taught with the pull towards the base model on the answer's tokens and without "
        "it, and with minus without, paired: an "
        "error below zero there means that the pull calibrates.",
    ),
    Drawing(
        SWAPPED,
        (MEAN,),
        "swapped_mean",
        "Mean P(correct) of the model's own answers and of wrong answers to other questions in "
        "their place: the nearer the two, the "
        "less the answer counts.",
    ),
    Drawing(
        SWAPPED,
        (AUROC2,),
        "swapped_auroc2",
        "How well P(correct) tells whether the model's OWN answer is right, within domain, seen "
        "with that answer and with a wrong one in "
        f"its place. {_CHANCE} What the swapped answer leaves above 0.5 comes from the question.",
        ("own answer", "swapped answer"),
        0.5,
    ),
    Drawing(
        OTHERS,
        (AUROC2,),
        "other_answers",
        "Judges taught on the model's own answers, on its own and on another model's, within "
        f"domain. {_CHANCE}",
        (),
        0.5,
    ),
    Drawing(
        FORMS,
        (AUROC2,),
        "forms_auroc2",
        "Who was taught on which form, judging either form of the same held-out questions, within "
        f"domain. {_CHANCE}",
        (),
        0.5,
    ),
    Drawing(
        FORMS,
        (ECE,),
        "forms_ece",
        "The same for the calibration error: 0 means that stated shares are met.",
    ),
    Drawing(
        UNANSWERABLE,
        (MEAN,),
        "unanswerable_mean",
        "Mean P(correct) of answers to questions that have an answer and that have none; of the "
        "latter only refusals are right.",
    ),
    Drawing(
        UNANSWERABLE,
        (POOLED,),
        "unanswerable_auroc2",
        "How well P(correct) tells questions that have an answer from those that have none, over "
        "all answers and over wrong ones alone. "
        "0.5 is chance.",
        (),
        0.5,
    ),
)


def ablations_page(
    lines: Sequence[Measurement],
    left_out: Mapping[str, str],
    configuration: Mapping[str, Any],
    drawn: Sequence[Section],
) -> Page:
    """Return the page of everything measured.

    ``ablations.parquet`` and ``ablations.json`` hold the same values and bounds, the latter with
    the ``configuration`` and the code that made them.

    Args:
        left_out: by name, why it was not done.
        drawn: as :func:`sections` draws them.
    """
    table = ablations_table(lines)
    found = {name: rows_of([line for line in lines if line.ablation == name]) for name in HEADINGS}
    lead = [(HEADINGS[name], each) for name, each in found.items() if each]
    if left_out:
        lead.append(("Left out", [{"what": name, "why": why} for name, why in left_out.items()]))
    return Page(
        TITLE,
        drawn,
        ablations_summary(lines),
        configuration,
        {"ablations.parquet": table},
        lead,
        [f"left out: {what}, because {why}" for what, why in left_out.items()],
        {
            "ablations.json": {
                "code": code_version(),
                "configuration": configuration,
                "lines": table.to_dict("records"),
                "left out": dict(left_out),
            }
        },
        narrow=[("Everything measured", [_narrow_row(line) for line in lines])],
    )


def _narrow_row(line: Measurement) -> dict[str, str]:
    return {
        "ablation": line.ablation,
        "judge": line.judge,
        "condition": line.condition,
        "measure": line.measure,
        "value": format(line.estimate, ".3f"),
    }


def sections(lines: Sequence[Measurement], caption: str) -> list[Section]:
    """Draw the label curves, and the figures of what was measured."""
    out = [
        Section(
            HEADINGS[LABELS],
            "AUROC2 within domain and calibration error against the number of graded answers "
            "taught. Lines across: the base model's query, "
            "which needs none, with its interval as a band, and the head on sentence embeddings, "
            "which never sees the model and has all "
            "labels. Fewer labels are fewer steps as well.",
            label_curve(lines, caption).figure(),
            "labels",
        )
    ]
    for drawing in DRAWINGS:
        rows = drawing.rows(lines)
        if not rows:
            continue
        figure = EstimateRows(
            rows=rows,
            axis=" or ".join(drawing.measures),
            title=HEADINGS[drawing.ablation],
            caption=caption,
            bound=drawing.bound,
        ).figure()
        out.append(Section(HEADINGS[drawing.ablation], drawing.explanation, figure, drawing.name))
    return out


def label_curve(lines: Sequence[Measurement], caption: str) -> LabelCurve:
    """Draw measures over labels; the base model and the head on embeddings are horizontal lines."""
    panels = []
    for measure in (AUROC2, ECE, TEMPERED):
        mine = [line for line in lines if (line.ablation, line.measure) == (LABELS, measure)]
        points: dict[str, list[LabelledPoint]] = {}
        for line in sorted(mine, key=lambda line: line.labels):
            if line.judge in CURVES:
                points.setdefault(line.judge, []).append(LabelledPoint(line.labels, line.estimate))
        across = {line.judge: line.estimate for line in mine if line.judge in _ACROSS}
        panels.append(LabelPanel(measure=measure, curves=points, references=across))
    return LabelCurve(panels=panels, title=HEADINGS[LABELS], caption=caption)


def rows_of(lines: Sequence[Measurement]) -> list[dict[str, str]]:
    """Return one row per judge and condition, with a column for every measure that any of
    them has.
    """
    measures = [measure for measure in MEASURES if any(line.measure == measure for line in lines)]
    cells: dict[tuple[str, str, int], dict[str, str]] = {}
    for line in lines:
        row = cells.setdefault((line.judge, line.condition, line.labels), {})
        row[line.measure] = format(line.estimate, "\n.3f")
    return [
        {
            "judge": judge,
            "condition": condition,
            "labels": f"{labels:,}" if labels else "none",
            **{measure: found.get(measure, "") for measure in measures},
        }
        for (judge, condition, labels), found in cells.items()
    ]
