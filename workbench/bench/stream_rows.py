"""Put what a streamed model costs in words, with the bounds it is held to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.bench.result_rows import Line, spread_of
from workbench.plan.rows import gigabytes

LINES = (
    Line("pass.streamed_over_memory", "one pass over all prompts, streamed over in memory", 1.3),
    Line("pass.cpu_streamed_over_memory", "the same in processor time"),
    Line("pass.read_over_layers", "bytes read in it over those of the layers", 1.0),
    Line("pass.largest_difference", "largest difference of its logits from those in memory", 1e-6),
    Line("memory.peak_over_weights", "largest memory of a streamed pass over the weights", 0.35),
    Line("memory.read_over_layers", "bytes read in it over those of the layers", 1.0),
    Line("layer.streamed_over_memory", "one layer of a 70B model, streamed over in memory", 1.2),
    Line("layer.cpu_streamed_over_memory", "the same in processor time"),
    Line("layer.largest_difference", "largest difference of its logits from those in memory", 1e-6),
    Line(
        "library.warm_accelerate_over_streamed",
        "accelerate's disk offload, batch by batch, over streamed, with the files in memory",
    ),
    Line(
        "library.accelerate_over_streamed",
        "the same with the files out of memory before every pass over the weights",
        4.0,
        at_most=False,
    ),
)


RATES = (
    ("layer.operations_per_second", "1e12 operations a second of its products", 1e12),
    ("layer.memory_bytes_per_second", "GB a second of its weights in memory", 1e9),
    ("layer.disk_bytes_per_second", "GB a second of its file, read from the disk", 1e9),
    ("layer.file_bytes_per_second", "GB a second of its file, in memory already", 1e9),
)
"""Rates of the layer: key, words, and the unit that the words name."""


def table_rows(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a row for everything that was measured: in words, the value, its turns, its bound."""
    return [
        {
            "measured": line.words,
            "value": f"{values[line.key]:.3g}",
            "turns": spread_of(line.key, values),
            "bound": line.met(values[line.key]),
        }
        for line in LINES
        if line.key in values
    ] + [
        {"measured": words, "value": f"{values[key] / unit:.3g}", "turns": "", "bound": ""}
        for key, words, unit in RATES
        if key in values
    ]


def plan_rows(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a row for every stage of the planned run and one for the whole, with its memory; none
    where nothing was planned.
    """
    end = ".model_readings"
    stages = [key.removesuffix(end) for key in values if key.endswith(end)]
    return [
        {
            "planned": stage.removeprefix("plan."),
            "passes": f"{values[f'{stage}.passes']:,}",
            "tokens": f"{values[f'{stage}.tokens']:,.0f}",
            "readings of the model": f"{values[f'{stage}{end}']:,.1f}",
            "read": gigabytes(values[f"{stage}.read_bytes"]),
            "hours": f"{values[f'{stage}.hours']:,.3g}",
            "peak memory": _peak_of(stage, values),
        }
        for stage in stages
    ]


def plan_sentences(values: Mapping[str, Any]) -> list[str]:
    """Return what the plan is of, or why there is none, a sentence each."""
    if "plan.model" not in values:
        return []
    head = f"Plan of {values['plan.model']}, {values['plan.questions']:,} questions, read layer by"
    head += " layer on this machine"
    if "plan.refused" in values:
        return [f"{head}: none. {values['plan.refused']}"]
    return [f"{head}; rates {values['plan.rates']}."]


def _peak_of(stage: str, values: Mapping[str, Any]) -> str:
    device, main = (values.get(f"{stage}.{name}_bytes") for name in ("device", "main"))
    if device is None or main is None:
        return ""
    return f"{gigabytes(device)} where it computes, {gigabytes(main)} of main memory besides"
