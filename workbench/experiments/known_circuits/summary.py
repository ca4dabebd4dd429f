"""Every number of the tasks under dotted keys, and the few of them that a table shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.api.examples import LAST
from workbench.experiments.known_circuits.read import INTO_PROMPT
from workbench.experiments.known_circuits.results import (
    THIRDS,
    CircuitResults,
    TaskResults,
)
from workbench.measure import Estimate

RANDOM = ("random_vector", "random_position")


def circuit_summary(results: CircuitResults) -> dict[str, Any]:
    """Every number of every task under dotted keys, for :func:`workbench.measure.flat_summary`."""
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
                out[f"{key}.{line['condition']}.{place}.{line['third']}"] = Estimate(
                    line["shift"], line["low"], line["high"], line["pairs"]
                )
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
                out[f"{key}.chosen.layer_{line['layer']}_head_{line['head']}"] = Estimate(
                    line["shift"], line["low"], line["high"], line["pairs"]
                )
    return out


def headline(found: TaskResults, direction: str) -> Mapping[str, Estimate]:
    """The few numbers of one task and direction that a table shows, by their heading."""
    one, changed = found.directions[direction], found.task.changed
    into_prompt = direction == INTO_PROMPT
    sides = ("prompt", "donor") if into_prompt else ("donor", "prompt")
    out = {
        "prefers its answer": found.behaviour[f"{sides[0]}_prefers"],
        "answer most likely": found.behaviour[f"{sides[0]}_right"],
        "unpatched reading": found.behaviour[f"{sides[0]}_reading"],
        "donor's reading": found.behaviour[f"{sides[1]}_reading"],
    }
    for heading, place in (("where they differ", changed), ("last token", LAST)):
        for third in (THIRDS[0], THIRDS[-1]):
            shift = one.shift("donor", place, third)
            if shift is not None:
                out[f"{heading}, {third}"] = shift
    out["last token overtakes at layer"] = one.crossing
    for name in RANDOM:
        largest = one.largest(name)
        if largest is not None:
            out[f"{name.replace('_', ' ')}, largest"] = largest
    out["Spearman with attribution"] = one.spearman
    out["effect / attribution"] = one.slope
    return out
