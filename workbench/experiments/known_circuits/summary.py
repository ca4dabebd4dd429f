"""Every number of the tasks under dotted keys, and those few of them that tables show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.api.examples import LAST
from workbench.experiments.known_circuits.results import (
    THIRDS,
    CircuitResults,
    HeadResults,
    TaskResults,
    shift_in,
)
from workbench.measure import Estimate

RANDOM = ("random_vector", "random_position")
LEADS, SPEARMAN = "last token leads from layer", "Spearman with attribution"
SLOPE = "effect / attribution"


def circuit_summary(results: CircuitResults) -> dict[str, Any]:
    """Return every number of every task under dotted keys, for
    :func:`workbench.measure.flat_summary`.
    """
    out: dict[str, Any] = {}
    for name, found in results.tasks.items():
        out[f"{name}.pairs"] = len(found.pairs)
        out |= {f"{name}.behaviour.{key}": value for key, value in found.behaviour.items()}
        for direction, one in found.directions.items():
            key = f"{name}.{direction}"
            out |= {
                f"{key}.crossing_layer": one.crossing,
                f"{key}.attribution.spearman": one.spearman,
                f"{key}.attribution.slope": one.slope,
                f"{key}.noise_floor": one.patched.noise_floor,
            }
            for line in one.places.to_dict("records"):
                place = str(line["place"]).replace(" ", "_")
                out[f"{key}.{line['condition']}.{place}.{line['third']}"] = shift_in(line)
        if found.heads is not None:
            key = f"{name}.heads"
            out |= {
                f"{key}.attribution.spearman": found.heads.spearman,
                f"{key}.attribution.slope": found.heads.slope,
                f"{key}.noise_floor": found.heads.patched.noise_floor,
                f"{key}.chosen_sum": found.heads.chosen_sum,
                f"{key}.every_sum": found.heads.every_sum,
            }
            for line in found.heads.chosen.to_dict("records"):
                out[f"{key}.chosen.layer_{line['layer']}_head_{line['head']}"] = shift_in(line)
    return out


def unpatched(found: TaskResults, side: str) -> Mapping[str, Estimate]:
    """Return how prompts, or donors, of a task are read as they are, by heading.

    In the task of years a token that repeats the prompt's own decade is on neither side, although
    it may be a right continuation.
    """
    return {
        "prefers its answer": found.behaviour[f"{side}_prefers"],
        "top token on its side": found.behaviour[f"{side}_right"],
        "reading": found.behaviour[f"{side}_reading"],
    }


def moved(found: TaskResults, direction: str) -> Mapping[str, Estimate]:
    """Return where the answer is moved in one direction, by heading."""
    one, out = found.directions[direction], {}
    for heading, place in (("where they differ", found.task.changed), ("last token", LAST)):
        for third in (THIRDS[0], THIRDS[-1]):
            shift = one.shift("donor", place, third)
            if shift is not None:
                out[f"{heading}, {third} layers"] = shift
    out[LEADS] = one.crossing
    for name in RANDOM:
        largest = one.largest(name)
        if largest is not None:
            out[f"{name.replace('_', ' ')}, largest"] = largest
    return {**out, SPEARMAN: one.spearman, SLOPE: one.slope}


def of_heads(heads: HeadResults) -> Mapping[str, Estimate]:
    """Return what single heads move at the last token, by heading."""
    return {
        **{
            f"layer {line['layer']}, head {line['head']}": shift_in(line)
            for line in heads.chosen.to_dict("records")
        },
        f"these {len(heads.chosen)}, added up": heads.chosen_sum,
        "all heads, added up": heads.every_sum,
    }
