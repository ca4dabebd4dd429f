"""Write the page and the table of the training measurement: ``index.html`` with the figure,
``table.csv`` with every key.

Bounds are those the trainer is held to on the default model at the default sizes; elsewhere they
are only for orientation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.bench.bench_page import write_bench_page
from workbench.bench.result_rows import Line, mebibytes, spread_of
from workbench.bench.teach import TeachBench
from workbench.plots.training_race import TrainingRace, TrainingRuns
from workbench.report import Section

LINES = (
    Line("trl_over_full", "TRL / workbench, adapter in all layers", 1.3, False),
    Line(
        "trl_over_partial",
        "TRL / workbench from kept states, the same adapter in the upper layers",
        2.5,
        False,
    ),
    Line(
        "trl_all_layers_over_partial",
        "TRL with an adapter in all layers / workbench from kept states",
    ),
    Line("full_over_partial", "workbench, all layers / from kept states"),
    Line("loss.gap", "last epoch's loss, all layers: workbench - TRL"),
    Line("loss.partial_gap", "last epoch's loss, upper layers: workbench - TRL"),
    Line("loss.seed_noise", "standard deviation of that loss over seeds"),
    Line("exact.full_gap", "largest difference of a step's loss without dropout, all layers", 1e-4),
    Line("exact.partial_gap", "the same, upper layers", 1e-4),
    Line("memory.full_over_trl", "peak memory / TRL's, all layers", 1.0),
    Line("memory.partial_over_trl", "the same, upper layers", 1.0),
)
NAMES = {
    "trl": "TRL, all layers",
    "full": "workbench, all layers",
    "trl_upper": "TRL, upper layers",
    "partial": "workbench, upper layers from kept states",
}


def table_rows(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the measured lines in words: value, spread, bound."""
    rows = [_row(line, values) for line in LINES if line.key in values]
    sizes = {
        name: values[f"memory.{name}_bytes"] for name in NAMES if f"memory.{name}_bytes" in values
    }
    return rows + [
        _plain(f"peak memory: {NAMES[name]}", mebibytes(size)) for name, size in sizes.items()
    ]


def _row(line: Line, values: Mapping[str, Any]) -> dict[str, str]:
    value = values[line.key]
    if value is None:
        return _plain(line.words, "not measured")
    spread = spread_of(line.key, values)
    return {
        "measured": line.words,
        "value": f"{value:.3g}",
        "smallest to largest": spread,
        "bound": line.met(value),
    }


def _plain(words: str, value: str) -> dict[str, str]:
    return {"measured": words, "value": value, "smallest to largest": "", "bound": ""}


def race_figure(found: TeachBench) -> TrainingRace:
    """Draw seconds and losses of all kinds that were timed."""
    values = found.values
    caption = (
        f"{values['model']}, {values['layers']} layers, matrix products in {values['precision']}, "
        f"on {values['device']} with {values['threads']} threads; "
        f"{values['rows']} conversations of {values['tokens_per_row']:.0f} tokens, "
        f"{values['epochs']} epochs, "
        f"{values['rounds']} rounds; upper layers from {values['start_layer']}"
    )
    runs = {
        NAMES[name]: TrainingRuns(
            np.array([each.seconds for each in trained]),
            np.array([each.losses for each in trained]),
        )
        for name, trained in found.rounds.items()
    }
    return TrainingRace(runs=runs, title="What the same training costs", caption=caption)


def write_teach_bench(folder: Path, found: TeachBench) -> Path:
    """Write ``table.csv`` and the page into ``folder`` (made if missing); return the path of
    ``index.html``.
    """
    values, sections = found.values, []
    if found.rounds:
        explanation = (
            "Seconds of a whole training, and the loss of its steps. Lines on one another: the "
            "same training."
        )
        sections.append(Section("Time and loss", explanation, race_figure(found).figure(), "race"))
    return write_bench_page(
        folder, "Cost of teaching", sections, values, table_rows(values), found.notes
    )
