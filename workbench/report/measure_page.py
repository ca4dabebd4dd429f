"""Write the page of a measured table: one row per group, then reliability, histogram, risk-coverage
and ROC.

Figures hold the first ``MOST_GROUPS`` groups of the file, because more curves cannot be told apart;
the table holds all, and the captions say so. Numbers are rounded here only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.measure.interval import Estimate
from workbench.measure.retrieval import gated_retrieval
from workbench.measure.table_file.answers import Answers
from workbench.measure.table_file.measure import Measured
from workbench.plots import ConfidenceHistogram, Reliability, RetrievalGain, RiskCoverageCurve, Roc
from workbench.report.formatting import cell_text
from workbench.report.page import Page, Section, write_page

MOST_GROUPS = 6
# Heading -> value of the group's table.
HEADINGS: Mapping[str, str] = {
    "n": "n",
    "parsed": "parse_rate",
    "accuracy": "accuracy",
    "AUROC2": "auroc2",
    "within domain": "auroc2_within",
    "ECE": "ece",
    "smooth ECE": "smooth_ece",
    "Brier": "brier",
    "log score": "log_score",
    "meta-I (bits)": "meta_i",
    "AURC": "aurc",
    "M-ratio": "m_ratio",
    "tier": "tier",
    "≥ 95 %": "ceiling_rate",
    "fullest bin": "modal_bin_share",
}

DIFFERENCES: Mapping[str, str] = {
    "accuracy": "accuracy",
    "AUROC2": "auroc2",
    "ECE": "ece",
    "smooth ECE": "smooth_ece",
    "Brier": "brier",
    "log score": "log_score",
    "AURC": "aurc",
}
TERMINAL = {
    h: HEADINGS[h]
    for h in ("n", "parsed", "accuracy", "AUROC2", "within domain", "ECE", "Brier", "AURC", "tier")
}


def write_measured(folder: Path, title: str, measured: Measured) -> Path:
    """Write the page, its figures and ``measures.csv`` into ``folder`` (made if missing); return
    the path of ``index.html``.

    Raises:
        WorkbenchError: for a folder that is somebody else's or cannot be written to.
    """
    groups = measured.answers.groups()
    shown = dict(list(groups.items())[:MOST_GROUPS])
    caption = f"{len(measured.answers):,} answers"
    if len(groups) > len(shown):
        caption += f"; the first {len(shown)} of {len(groups)} groups"
    differences = difference_rows(measured)
    comparison = [(f"Difference to {measured.against}", differences)] if differences else []
    page = Page(
        title,
        sections(measured, shown, caption),
        # The table above the figures has every number.
        {},
        {
            "settings": asdict(measured.settings),
            "notes": [*measured.answers.notes, *_notes(measured)],
        },
        {"measures.csv": tidy_table(measured)},
        [("Measures", table_rows(measured, HEADINGS)), *comparison],
    )
    return write_page(page, folder)


def tidy_table(measured: Measured) -> pd.DataFrame:
    """Return every estimate without rounding: one row per group and measure."""
    rows = [
        {"group": group, "measure": name, **vars(value)}
        for group, found in measured.groups.items()
        for name, value in found.values.items()
        if isinstance(value, Estimate)
    ]
    return pd.DataFrame(rows, columns=["group", "measure", "value", "low", "high", "n"])


def table_rows(measured: Measured, headings: Mapping[str, str]) -> list[dict[str, str]]:
    """Return one row per group with ``headings`` as columns; values that no group has are left
    out.
    """
    present = {
        h: key
        for h, key in headings.items()
        if any(key in group.values for group in measured.groups.values())
    }
    return [
        {
            "group": name,
            **{h: cell_text(group.values.get(key, float("nan"))) for h, key in present.items()},
        }
        for name, group in measured.groups.items()
    ]


def difference_rows(measured: Measured) -> list[dict[str, str]]:
    """Return one row for each group compared with ``measured.against``: that group minus it, on the
    questions of both.
    """
    return [
        {
            "group": name,
            "n": f"{paired.n:,}",
            **{h: cell_text(paired.difference[key]) for h, key in DIFFERENCES.items()},
        }
        for name, paired in measured.paired.items()
    ]


def sections(measured: Measured, groups: Mapping[str, Answers], caption: str) -> list[Section]:
    """Return the figures' sections, in reading order; retrieval only where the table has its
    grades.
    """
    bins = measured.settings.bins
    pairs = {name: (part.confidence, part.correct) for name, part in groups.items()}
    areas = {name: _area(measured, name) for name in groups}
    stated = {name: np.round(100 * part.confidence, 9) for name, part in groups.items()}
    found = [
        Section(
            "Reliability",
            "Share of right answers at each level of confidence; on the diagonal confidence means "
            "what it says, below it is "
            "over-confidence.",
            Reliability(
                panels={"": pairs}, bins=bins, title="Is the confidence earned?", caption=caption
            ).figure(),
            "reliability",
        ),
        Section(
            "Histogram",
            "Which confidences are stated at all; a scale of which one end is used cannot tell "
            "answers apart.",
            ConfidenceHistogram(groups=stated, title="What is stated", caption=caption).figure(),
            "histogram",
        ),
        Section(
            "Risk and coverage",
            "How wrong the accepted answers are when only the most confident share is accepted.",
            RiskCoverageCurve(
                groups=pairs, title="Answering only when sure", caption=caption
            ).figure(),
            "risk_coverage",
        ),
        Section(
            "ROC",
            "How well confidence ranks right above wrong answers; the area is AUROC2, with its "
            "DeLong interval.",
            Roc(
                groups=pairs, areas=areas, title="Telling right from wrong", caption=caption
            ).figure(),
            "roc",
        ),
    ]
    gated = {
        name: gated_retrieval(part.confidence, part.correct, part.retrieved)
        for name, part in groups.items()
        if part.retrieved is not None
    }
    if gated:
        figure = RetrievalGain(
            curves=gated, title="Looking up only when unsure", caption=caption
        ).figure()
        explanation = (
            "Accuracy when the least confident questions are looked up, against looking up as many "
            "at random."
        )
        found.append(Section("Gated retrieval", explanation, figure, "retrieval"))
    return found


def _area(measured: Measured, name: str) -> Estimate:
    area = measured.groups[name].values["auroc2_delong"]
    assert isinstance(area, Estimate)
    return area


def _notes(measured: Measured) -> list[str]:
    return [f"{name}: {note}" for name, group in measured.groups.items() for note in group.notes]
