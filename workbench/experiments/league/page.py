"""Make the league's page: one table for each part of the held-out questions, and a figure for each
measure of interest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.experiments.league.comparison import ComparisonRow, league_summary, league_table
from workbench.experiments.league.metrics import BASE_RIGHT, MEASURES
from workbench.pipeline.store import code_version
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.report import Page, Section

TITLE = "Which recipe teaches a model to say what it knows?"
DECIDING = "AUROC2 expected within"
NARROW = ("questions", "recipe", "arm", "seeds", DECIDING, "ECE expected")


def league_page(
    rows: Sequence[ComparisonRow],
    configuration: Mapping[str, Any],
    figures: Sequence[Section],
    title: str = TITLE,
    notes: Sequence[str] = (),
) -> Page:
    """Return the page of comparison rows.

    ``league.parquet`` and ``league.json`` hold the same values and bounds, the latter with the
    ``configuration`` and the code that made them.

    Args:
        figures: as :func:`sections` draws them.
    """
    table = league_table(rows)
    parts = dict.fromkeys(one.part for one in rows)
    lines = [row_of(one) for one in rows]
    return Page(
        title,
        figures,
        league_summary(rows),
        configuration,
        {"league.parquet": table},
        [
            (
                f"{part.capitalize()}: {_questions(rows, part)}",
                [line for one, line in zip(rows, lines, strict=True) if one.part == part],
            )
            for part in parts
        ],
        notes,
        {
            "league.json": {
                "code": code_version(),
                "configuration": configuration,
                "lines": table.to_dict("records"),
            }
        },
        narrow=[(title, [_narrow(one.part, line) for one, line in zip(rows, lines, strict=True)])],
    )


def _narrow(part: str, line: Mapping[str, str]) -> dict[str, str]:
    whole = {"questions": part, **line}
    return {head: whole[head] for head in NARROW if head in whole}


def sections(rows: Sequence[ComparisonRow], caption: str) -> list[Section]:
    """Draw one figure for each measure, with recipes and arms as rows, and in- and out-of-domain
    questions side by side.
    """
    out = []
    for heading, measure in MEASURES.items():
        # It is the same for every line; the table has it.
        if heading == BASE_RIGHT:
            continue
        measured = [one for one in rows if heading in one.estimates]
        if not measured:
            continue
        figure = EstimateRows(
            rows=[EstimateRow(one.part, one.name, one.estimates[heading]) for one in measured],
            axis=heading,
            title=heading,
            caption=caption,
            bound=measure.bound,
        ).figure()
        out.append(Section(heading, measure.says, figure, heading.lower().replace(" ", "_")))
    return out


def row_of(one: ComparisonRow) -> dict[str, str]:
    """Return a line of the page's table."""
    measured = {
        heading: format(one.estimates[heading], "\n.3f") if heading in one.estimates else ""
        for heading in MEASURES
    }
    return {
        "recipe": one.recipe,
        "arm": one.arm,
        "seeds": str(one.seeds),
        **measured,
        "training tokens": "" if one.tokens is None else f"{one.tokens:,.0f}",
        "seconds": "" if one.seconds is None else f"{one.seconds:.0f}",
    }


def _questions(rows: Sequence[ComparisonRow], part: str) -> str:
    counts = sorted({one.questions for one in rows if one.part == part})
    return f"{' or '.join(map(str, counts))} held-out questions"
