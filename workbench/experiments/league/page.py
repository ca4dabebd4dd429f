"""The league's page: one table for each part of the held-out questions, and a figure for each
measure of interest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.experiments.league.comparison import ComparisonRow, league_summary, league_table
from workbench.experiments.league.metrics import BASE_RIGHT, MEASURES
from workbench.files.ownership import FIGURES, claim_folder
from workbench.files.writing import write_atomically, write_json
from workbench.pipeline.store import code_version
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.report import Section, write_report
from workbench.report.measure_page import written

TABLE, NUMBERS = "league.parquet", "league.json"
TITLE = "Which recipe teaches a model to say what it knows?"


def write_league(
    folder: Path,
    standings: Sequence[ComparisonRow],
    configuration: Mapping[str, Any],
    drawn: Sequence[Section],
    title: str = TITLE,
) -> tuple[Path, list[dict[str, str]]]:
    """Write page, figures (``drawn`` by :func:`sections`) and table into ``folder``; returns the
    page and its rows as text.

    TABLE and NUMBERS hold the same values and bounds, the latter with the ``configuration`` and the
    code that made them.
    """
    parts = list(dict.fromkeys(one.part for one in standings))
    leads = [
        (
            f"{part.capitalize()}: {_questions(standings, part)}",
            [shown(one) for one in standings if one.part == part],
        )
        for part in parts
    ]
    claim_folder(folder, FIGURES)
    table = league_table(standings)
    write_atomically(folder / TABLE, table.to_parquet)
    made_by = {"code": code_version(), "configuration": configuration}
    write_json(folder / NUMBERS, {**made_by, "lines": table.to_dict("records")})
    page = write_report(
        folder,
        title,
        drawn,
        league_summary(standings),
        configuration,
        [TABLE, NUMBERS],
        (),
        lead=leads,
    )
    return page, [
        {"questions": part, **row}
        for part, (_, rows) in zip(parts, leads, strict=True)
        for row in rows
    ]


def sections(standings: Sequence[ComparisonRow], caption: str) -> list[Section]:
    """One figure a measure: recipes and arms from the top, in- and out-of-domain questions side
    by side.
    """
    out = []
    for heading, measure in MEASURES.items():
        # It is the same for every line; the table has it.
        if heading == BASE_RIGHT:
            continue
        measured = [one for one in standings if heading in one.estimates]
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


def shown(one: ComparisonRow) -> dict[str, str]:
    """A line of the page's table."""
    measured = {
        heading: written(one.estimates[heading]) if heading in one.estimates else ""
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


def _questions(standings: Sequence[ComparisonRow], part: str) -> str:
    counts = sorted({one.questions for one in standings if one.part == part})
    return f"{' or '.join(map(str, counts))} held-out questions"
