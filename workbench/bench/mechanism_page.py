"""Write what was measured of the published claims' rules: the page with errors and power, and the
rates as a table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from workbench.bench.bench_page import write_bench_page
from workbench.bench.mechanisms import ERROR, MOST, POWER, MechanismBench
from workbench.files.ownership import FIGURES, claim_folder
from workbench.measure import Estimate
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.report import Section
from workbench.tables import write_csv

RATES = "rates.csv"
TEXTS = {
    ERROR: "How often a rule contradicts what is true, or confirms what is false; the line is the "
    "bound.",
    POWER: "How often a rule confirms what is true, or contradicts what is false.",
}


def table_rows(rates: pd.DataFrame) -> list[dict[str, str]]:
    """Return the rates in words: one row a claim, world and size."""
    keys = ["work", "claim", "world", "true", "effect", "size"]
    return [
        {
            "claim": f"{key[0]}: {key[1]}".replace("_", " "),
            "planted": str(key[2]),
            "the claim is": "true" if key[3] else "false",
            "questions": str(key[5]),
            **{str(line["rate"]): _share(line) for line in group.to_dict("records")},
        }
        for key, group in rates.groupby(keys, sort=False)
    ]


def record_rows(rates: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rates as rows of a results page: section, row, column, value, low, high, n."""
    return [
        {
            "section": f"{line['work']}: {str(line['claim']).replace('_', ' ')}",
            "row": _name(line),
            "column": line["rate"],
            **{name: round(float(line[name]), 3) for name in ("value", "low", "high")},
            "n": int(line["n"]),
        }
        for line in rates.to_dict("records")
    ]


def _name(line: Any) -> str:
    return f"{line['world']} ({'true' if line['true'] else 'false'}), {line['size']} questions"


def _share(line: Any) -> str:
    return (
        f"{100 * line['value']:.1f} % [{100 * line['low']:.1f}, {100 * line['high']:.1f}] "
        f"of {line['n']}"
    )


def rates_figure(rates: pd.DataFrame, rate: str) -> EstimateRows:
    """Return the figure of the errors, or of the power."""
    rows = [
        EstimateRow(
            str(line["claim"]).replace("_", " "),
            f"{line['claim']}: {_name(line)}".replace("_", " "),
            Estimate(line["value"], line["low"], line["high"], line["n"]),
        )
        for line in rates[rates["rate"] == rate].to_dict("records")
    ]
    return EstimateRows(
        rows=rows,
        axis="share of worlds",
        title="Wrong verdicts" if rate == ERROR else "Right verdicts",
        caption="Wilson intervals over worlds",
        bound=MOST if rate == ERROR else None,
    )


def write_mechanism_bench(folder: Path, found: MechanismBench) -> Path:
    """Write the page, its figures and the table of rates; return the page's path."""
    claim_folder(folder, FIGURES)
    write_csv(found.rates, folder / RATES)
    figures = {rate: rates_figure(found.rates, rate) for rate in (ERROR, POWER)}
    sections = [
        Section(figure.title, TEXTS[rate], figure.figure(), rate)
        for rate, figure in figures.items()
    ]
    return write_bench_page(
        folder,
        "How often do the rules of the published claims err?",
        sections,
        found.values,
        table_rows(found.rates),
        (),
    )
