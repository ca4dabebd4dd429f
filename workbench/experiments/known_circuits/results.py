"""Measure what patching a task's pairs did: behaviour, where the effect sits, what gradients say.

``shift`` is the mean move over the mean distance to the donor's reading: 0 nothing moved, 1 all of
it, in both directions. Of every place it is given for the early, middle and late third of the
layers (mean over the third's layers), for the effect and for each control. ``crossing`` is the
first layer after which the last token carries more than the place where the pair differs.
``spearman`` is the rank correlation over cells of the gradient's mean estimate with the mean
effect, ``slope`` that of effect on estimate through the origin. Heads are chosen on every other
pair and measured on the rest, so the choice does not flatter them. Intervals are 95 % bootstrap
intervals over pairs, of shares of pairs Wilson's.

What the numbers do not show: pairs share names and countries, so that the intervals are somewhat
too narrow; a patch of the last layers at the last token moves everything as a matter of course; and
a place that suffices need not be the one the model uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from workbench.api.examples import LAST
from workbench.api.results import PatchMap, Readings
from workbench.arrays import Floats
from workbench.config import RunConfig
from workbench.experiments.known_circuits.maps import load_map
from workbench.experiments.known_circuits.measures import (
    agreement,
    estimate,
    first_above,
    shift_of,
)
from workbench.experiments.known_circuits.read import (
    BEHAVIOUR,
    DIRECTIONS,
    ESTIMATED,
    ESTIMATED_HEADS,
    HEADS,
    INTO_PROMPT,
    PATCHED,
)
from workbench.experiments.known_circuits.tasks import Task
from workbench.measure import Bootstrap, Estimate, bootstrap, wilson_interval
from workbench.pipeline.store import StageStore

if TYPE_CHECKING:
    from workbench.experiments.known_circuits.run import CircuitParameters

THIRDS = ("early", "middle", "late")
CHOSEN_HEADS = 5


@dataclass(frozen=True, eq=False)
class DirectionResults:
    """One direction of patching.

    Attributes:
        patched: effect and controls by layer and place; estimated: the gradient's, same cells.
        places: one line a condition, place and third of the layers: ``shift`` with its interval.
    """

    patched: PatchMap
    estimated: PatchMap
    places: pd.DataFrame
    crossing: Estimate
    spearman: Estimate
    slope: Estimate

    def shift(self, condition: str, place: str, third: str) -> Estimate | None:
        """Return one line of ``places``; None where no layer of the third was patched."""
        names = ("condition", "place", "third")
        for line in self.places.to_dict("records"):
            if tuple(line[name] for name in names) == (condition, place, third):
                return shift_in(line)
        return None

    def largest(self, condition: str) -> Estimate | None:
        """Return the largest shift of a control, by size; None where it could not be patched."""
        mine = self.places[self.places["condition"] == condition]
        if mine["shift"].isna().all():
            return None
        line = mine.iloc[int(np.nanargmax(mine["shift"].abs().to_numpy()))]
        return self.shift(condition, line["place"], line["third"])


@dataclass(frozen=True, eq=False)
class HeadResults:
    """Single heads.

    Attributes:
        patched: by layer and head at the last token; estimated: by layer, head and place.
        chosen: the heads that moved most on every other pair: ``shift`` on the rest.
        chosen_sum, every_sum: the shifts of these, and of all heads, each patched alone, added up.
        verified: how true patches agree with the estimates, of the largest cells and random ones.
    """

    patched: PatchMap
    estimated: PatchMap
    chosen: pd.DataFrame
    chosen_sum: Estimate
    every_sum: Estimate
    spearman: Estimate
    slope: Estimate
    verified: pd.DataFrame


@dataclass(frozen=True, eq=False)
class TaskResults:
    """One task.

    Attributes:
        pairs: one line a pair: texts, most likely next tokens, and whether these are right.
        behaviour: by name, of the unpatched runs.
    """

    task: Task
    pairs: pd.DataFrame
    behaviour: Mapping[str, Estimate]
    directions: Mapping[str, DirectionResults]
    heads: HeadResults | None
    precision: str


@dataclass(frozen=True)
class CircuitResults:
    """All tasks, with what they were made with."""

    config: RunConfig
    parameters: CircuitParameters
    tasks: Mapping[str, TaskResults]


def shift_in(line: Mapping[Any, Any]) -> Estimate:
    """Return the shift of a line of ``places`` or of ``chosen``."""
    return Estimate(line["shift"], line["low"], line["high"], line["pairs"])


def measure_task(task: Task, stages: Mapping[str, StageStore], draw: Bootstrap) -> TaskResults:
    """Measure one task from its finished stages, by what each is about."""
    facts, pairs = stages[BEHAVIOUR].facts(), stages[BEHAVIOUR].table("pairs")
    directions = {}
    for name in DIRECTIONS:
        patched, estimated = (load_map(stages[name], kind) for kind in (PATCHED, ESTIMATED))
        directions[name] = measure_direction(
            patched, estimated, task.changed, facts["layers"], draw
        )
    first = directions[INTO_PROMPT].patched
    heads = None
    if task.heads:
        heads = measure_heads(
            load_map(stages[HEADS], HEADS),
            load_map(stages[HEADS], ESTIMATED_HEADS),
            stages[HEADS].table("verified"),
            draw,
        )
    return TaskResults(
        task,
        pairs,
        measure_behaviour(pairs, first.base, first.donor, draw),
        directions,
        heads,
        facts["precision"],
    )


def measure_behaviour(
    pairs: pd.DataFrame, prompt: Floats, donor: Floats | None, draw: Bootstrap
) -> dict[str, Estimate]:
    """Estimate how the model does the task unpatched, from the ``prompt`` and ``donor`` readings
    [pairs].

    Returns:
        ``prompt_prefers`` and ``donor_prefers``: share that reads its own side; ``prompt_right``
            and ``donor_right``: share whose most likely next token is right; ``prompt_reading``
            and ``donor_reading``: means.
    """
    assert donor is not None
    found = {"prompt_prefers": _share(prompt > 0), "donor_prefers": _share(donor < 0)}
    for side in ("prompt", "donor"):
        found[f"{side}_right"] = _share(pairs[f"{side}_right"].to_numpy(dtype=bool))
    for side, readings in (("prompt", prompt), ("donor", donor)):
        found[f"{side}_reading"] = bootstrap(np.mean, readings, **draw.options)
    return found


def measure_direction(
    patched: PatchMap, estimated: PatchMap, changed: str, n_layers: int, draw: Bootstrap
) -> DirectionResults:
    """Measure a map by layer and place and its estimate.

    Args:
        changed: the place where prompt and donor differ.
        n_layers: of the model, which make the thirds.
    """
    layers, places = (axis.labels for axis in patched.axes)
    effect = patched.conditions[0]
    moved = _moved(effect)
    last, there = places.index(LAST), places.index(changed)
    further = (moved[:, :, last] - moved[:, :, there]) * np.sign(_span(effect).mean())
    crossing = estimate(first_above(further, np.array(layers, dtype=float)), len(moved), draw)
    spearman, slope = agreement(_moved(estimated.conditions[0]), moved, draw)
    parts = [part for part in patched.conditions if part.role != "floor"]
    lines = pd.concat([_thirds(part, n_layers, draw) for part in parts], ignore_index=True)
    return DirectionResults(patched, estimated, lines, crossing, spearman, slope)


def measure_heads(
    patched: PatchMap, estimated: PatchMap, verified: pd.DataFrame, draw: Bootstrap
) -> HeadResults:
    """Measure single heads at the last token, and their estimates."""
    effect = patched.conditions[0]
    moved, span = _moved(effect).reshape(len(effect.base), -1), _span(effect)
    size = np.abs(moved[::2].mean(axis=0))
    best = np.argsort(-size, kind="stable")[:CHOSEN_HEADS]
    rest, far = moved[1::2], span[1::2]
    shifts = [estimate(shift_of(rest[:, cell], far), len(rest), draw) for cell in best]
    chosen = effect.cells().iloc[best].reset_index(drop=True)
    for name in ("value", "low", "high"):
        chosen[{"value": "shift"}.get(name, name)] = [getattr(one, name) for one in shifts]
    at = [str(label) for label in estimated.axes[2].labels].index(LAST)
    spearman, slope = agreement(_moved(estimated.conditions[0])[..., at], moved, draw)
    return HeadResults(
        patched,
        estimated,
        chosen.assign(pairs=len(rest)),
        estimate(shift_of(rest[:, best].sum(axis=1), far), len(rest), draw),
        estimate(shift_of(rest.sum(axis=1), far), len(rest), draw),
        spearman,
        slope,
        verified,
    )


def third_of(layer: int, n_layers: int) -> str:
    """Return the third of a model in which a layer lies."""
    return THIRDS[3 * layer // n_layers]


def _thirds(part: Readings, n_layers: int, draw: Bootstrap) -> pd.DataFrame:
    layers, places = (axis.labels for axis in part.axes)
    moved, span, lines = _moved(part), _span(part), []
    thirds = np.array([third_of(int(layer), n_layers) for layer in layers])
    for index, place in enumerate(places):
        for third in dict.fromkeys(thirds.tolist()):
            mean = moved[:, thirds == third, index].mean(axis=1)
            found = estimate(shift_of(mean, span), len(mean), draw)
            lines.append(
                {
                    "condition": part.name,
                    "place": str(place),
                    "third": third,
                    "shift": found.value,
                    "low": found.low,
                    "high": found.high,
                    "pairs": found.n,
                }
            )
    return pd.DataFrame(lines)


def _moved(part: Readings) -> Floats:
    return np.asarray(part.patched - part.base.reshape(-1, *[1] * len(part.axes)))


def _span(part: Readings) -> Floats:
    assert part.donor is not None
    return np.asarray(part.donor - part.base)


def _share(yes: ArrayLike) -> Estimate:
    held = np.asarray(yes, dtype=bool)
    low, high = wilson_interval(held.sum(), len(held))
    return Estimate(float(held.mean()), float(low), float(high), len(held))
