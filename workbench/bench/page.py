"""Write the page and the table of a measurement: ``index.html`` with the growth figure,
``table.csv`` with every key.

Bounds are those the engine is held to on the default model at the default sizes; elsewhere they are
only for orientation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.bench.bench_page import write_bench_page
from workbench.bench.growth import Point
from workbench.bench.result_rows import Line, mebibytes, spread_of
from workbench.bench.sweep import SweepBench
from workbench.plots.cost_growth import CostCurve, CostGrowth
from workbench.report import Section

AXES = {
    "layers": "layers patched",
    "tokens": "tokens of a prompt",
    "rows": "rows",
}


LINES = (
    Line("packed_over_forward", "packed sweep of all layers / plain forward", 1.3),
    Line("within_over_replace", "packed sweep of a direction alone / of whole states", 1.1),
    Line("loop_over_packed", "loop of hooked forwards / packed", 20, False),
    Line("transformer_lens_over_packed", "transformer-lens / packed", 20, False),
    Line("nnsight_over_packed", "nnsight / packed", 20, False),
    Line("pyvene_over_packed", "pyvene / packed", 20, False),
    Line("position_map_over_forward", "layer x position map / plain forward"),
    Line(
        "position_map_loop_over_packed",
        "loop (estimated from measured cells) / layer x position map",
        10,
        False,
    ),
    Line(
        "texts_alone_over_together",
        "texts under patches one by one (estimated) / in one batch",
        8,
        False,
    ),
    Line(
        "knockout_over_forward",
        "edges cut in every window of layers, last token / plain forward",
        2,
    ),
    Line(
        "knockout_earlier_over_forward",
        "edges cut in every window of layers, eight tokens before the last / plain forward",
    ),
    Line(
        "knockout_head_over_forward",
        "edges cut for one head in every window of layers, last token / plain forward",
        2,
    ),
    Line(
        "knockout_loop_over_packed",
        "loop (estimated from measured windows) / edges cut in every window",
        10,
        False,
    ),
    Line("record_over_forward", "recording all layers at 3 positions / plain forward", 1.1),
    Line("lens.logit_over_record", "reading the scale by logit lens / recording it", 1.3),
    Line("lens.tuned_over_record", "reading the scale by tuned lens / recording it", 1.3),
    Line("lens.jacobian_over_record", "reading the scale by Jacobian lens / recording it", 1.3),
    Line("lens.all_over_record", "reading the scale by all three lenses / recording it", 1.3),
)
ESTIMATED: Mapping[str, str] = {
    "position_map_loop_over_packed": "position_map",
    "knockout_loop_over_packed": "knockout",
}
"""Ratios to a loop that is run for a few branches alone, by what those branches are of."""

BYTES: Mapping[str, str] = {
    "record.extra_bytes": "peak memory of recording beyond the plain forward's",
    "memory.forward_bytes": "peak memory of the plain forward",
    "memory.sweep_bytes": "peak memory of the packed sweep",
    "memory.map_bytes": "peak memory of a map under a token budget",
    "memory.bound_bytes": "bound of that budget",
}


def table_rows(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the measured lines in words: value, spread, bound, largest difference to the packed
    result.
    """
    rows = [_row(line, values) for line in LINES if line.key in values]
    rows += [_plain(words, mebibytes(values[key])) for key, words in BYTES.items() if key in values]
    if values.get("memory.within_bound") is not None:
        rows.append(
            _plain(
                "the map stayed under its bound", "yes" if values["memory.within_bound"] else "no"
            )
        )
    return rows


def _row(line: Line, values: Mapping[str, Any]) -> dict[str, str]:
    value = values[line.key]
    if value is None:
        return _plain(line.words, "not installed")
    gap = values.get(f"packed_vs_{line.key.removesuffix('_over_packed')}")
    if line.key in ESTIMATED:
        gap = values.get(f"{ESTIMATED[line.key]}.packed_vs_loop")
    return {
        "measured": line.words,
        "value": f"{value:.3g}",
        "smallest to largest": spread_of(line.key, values),
        "bound": line.met(value),
        "largest difference": "" if gap is None else f"{gap:.1e}",
    }


def _plain(words: str, value: str) -> dict[str, str]:
    return {
        "measured": words,
        "value": value,
        "smallest to largest": "",
        "bound": "",
        "largest difference": "",
    }


def growth_figure(points: list[Point], caption: str) -> CostGrowth:
    """Draw the curves of all axes and methods."""
    panels: dict[str, dict[str, CostCurve]] = {}
    for axis, words in AXES.items():
        here = [point for point in points if point.axis == axis]
        for method in dict.fromkeys(point.method for point in here):
            mine = sorted(
                (point for point in here if point.method == method), key=lambda point: point.at
            )
            panels.setdefault(words, {})[method] = CostCurve(
                at=np.array([point.at for point in mine], dtype=np.float64),
                cost=np.array([point.over_forward for point in mine]),
                estimated=any(point.estimated for point in mine),
            )
    return CostGrowth(
        panels=panels,
        ours="packed",
        unit="plain forwards",
        title="What a sweep of layers costs",
        caption=caption,
    )


def write_bench(folder: Path, found: SweepBench) -> Path:
    """Write ``table.csv`` and the page into ``folder`` (made if missing); return the path of
    ``index.html``.
    """
    values = found.values
    caption = (
        f"{values['model']}, {values['layers']} layers, matrix products in {values['precision']}, "
        f"on {values['device']} with {values['threads']} threads; "
        f"{values['rows']} prompts of {values['tokens']} tokens where these do not vary; prompt "
        "lengths on at most two"
    )
    sections = []
    if found.points:
        explanation = (
            "Cost in plain forwards of the same prompts. Dashed: estimated from a few measured "
            "branches of the same sweep."
        )
        figure = growth_figure(found.points, caption).figure()
        sections.append(Section("Growth", explanation, figure, "growth"))
    return write_bench_page(
        folder, "Cost of patching", sections, values, table_rows(values), found.notes
    )
