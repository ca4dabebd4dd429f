"""Put what a streamed model costs in words, with the bounds it is held to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.bench.result_rows import Line, spread_of

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
    ]
