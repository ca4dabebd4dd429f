"""Change the probe's direction in the states that a run's numbers are read from, before and after
teaching, and read what the model then says.

One stage a condition, of four packed passes over kept conversations. Taken out and swapped, after
a layer two thirds up and the last one: the direction of the base model's probe at the confidence
position, after teaching also that of the condition's own probe, and the difference of right and
wrong answers' mean states; beside the first and the last of these a random direction of equal
variance. Put onto the readout: the probe's reading, by a rank-one map chosen on training questions,
beside another question's reading and a random target. Pushed: the probe's direction, beside random
ones. See :mod:`workbench.bottleneck.direction_patches`, :mod:`workbench.bottleneck.rank_one_map`.

The tables hold a line for each held-out question and change: expected and written confidence, as
shares of certainty. The same questions unpatched stand in them as the change "none".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.arrays import Floats, Rows
from workbench.bottleneck.direction_patches import (
    displacement_of,
    pushed_branch,
    random_displacement,
    removed_branch,
    subspaces_of,
    swapped_branch,
    without_direction,
)
from workbench.bottleneck.random_directions import directions_of_equal_variance
from workbench.bottleneck.rank_one_map import (
    Strength,
    best_strength,
    candidates,
    mapped_branch,
    standardise,
    unit_of,
)
from workbench.bottleneck.readings import read_best
from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.condition_model import (
    MEANS,
    PROBE,
    Change,
    ConditionModel,
)
from workbench.experiments.text_bottleneck.conditions import ModelCondition, model_in
from workbench.loop.patched_items import choose_items
from workbench.loop.probes import probe_settings
from workbench.loop.questions import load_questions, spread_rows
from workbench.loop.run import Run
from workbench.patch.controls import derangement
from workbench.pipeline.store import ROW, StageStore
from workbench.trace.interventions import Branch
from workbench.trace.subspace import Subspace

DRAWN = (PROBE, MEANS)
"""The directions beside which a random one of equal variance is changed, by its number."""
REMOVED, SWAPPED, PUSHED, MAPPED = "removed", "swapped", "pushed", "mapped"
RANDOM, WHOLE, OTHER = "random", "whole state", "another's reading"
DIRECTIONS, MAP, PUSHES, LEFT = "directions", "map", "pushes", "left"
ASKED = 12
"""Training questions whose mean gradient is the readout direction."""


@dataclass(frozen=True)
class InterventionPlan:
    """How much is patched.

    Attributes:
        layers: the layers whose states are changed; none for two, two thirds up and the last one.
        random: random targets of the map.
        patched, pushed: held-out questions that directions are taken out of and swapped between,
            and that are pushed.
        mapped: training questions on which the rank-one map is chosen.
        lengths: of pushes, in standard deviations of the probe's reading.
    """

    layers: tuple[int, ...] = ()
    random: int = 2
    patched: int = 64
    mapped: int = 56
    pushed: int = 16
    lengths: tuple[float, ...] = (-4.0, -2.0, 2.0, 4.0)

    def layers_of(self, n_layers: int) -> list[int]:
        """Return the layers of a model of ``n_layers``, in rising order.

        Raises:
            WorkbenchError: for a layer that it has not.
        """
        wrong = [layer for layer in self.layers if not 0 <= layer < n_layers]
        if wrong:
            raise WorkbenchError(
                f"intervention_layers names layer {wrong[0]}, but the model's layers are 0 to "
                f"{n_layers - 1}."
            )
        return sorted({*(self.layers or (round(2 * (n_layers - 1) / 3), n_layers - 1))})


def intervention_stage(name: str) -> str:
    """Return the name of the stage of a condition."""
    return f"bottleneck_interventions_{name}"


def intervene(
    context: Run, stage: StageStore, *, condition: ModelCondition, plan: InterventionPlan
) -> dict[str, Any]:
    """Save the tables of the condition's changes, "directions", "map" and "pushes", and in "left",
    by direction, what new probes read once it is out of the states, [held-out, layers].
    """
    with model_in(context, condition) as lm:
        model = ConditionModel(context, lm, condition, plan.layers_of(lm.n_layers))
        stage.save_table(DIRECTIONS, _directions(model, plan, stage))
        stage.save_table(PUSHES, _pushes(model, plan, stage))
        table, chosen, training = _map(model, plan, stage)
        stage.save_table(MAP, table)
    stage.save_tensors(LEFT, {name: _read_what_is_left(model, name) for name in DRAWN})
    return {"layers": model.layers, "map": asdict(chosen), "training_auroc2": training}


def _directions(model: ConditionModel, plan: InterventionPlan, stage: StageStore) -> pd.DataFrame:
    """Take directions out and swap them, on held-out questions."""
    context = model.context
    questions, _ = load_questions(context)
    rows = choose_items(questions, plan.patched, context.config.seed)
    partner = derangement(len(rows), context.config.seed)
    states = model.number_states(rows)
    usual = model.number_states(spread_rows(model.split.train, plan.mapped)).mean(dim=0)
    rng = _rng(context, 0)
    changes: list[tuple[int, int, str, int, Subspace | None]] = []
    for at, layer in enumerate(model.layers):
        named = [(name, 0, weights[at]) for name, weights in model.weights.items()]
        for number, name in enumerate(DRAWN):
            drawn = directions_of_equal_variance(
                model.states[:, at], model.weights[name][at], 1, rng
            )
            named.append((RANDOM, number, drawn[0]))
        spans = subspaces_of([direction for _, _, direction in named])
        changes += [
            (at, layer, name, number, span)
            for (name, number, _), span in zip(named, spans, strict=True)
        ]
        changes.append((at, layer, WHOLE, 0, None))

    def make(batch: Rows, places: Tensor) -> list[tuple[Change, Branch]]:
        made: list[tuple[Change, Branch]] = []
        for at, layer, name, number, span in changes:
            other = states[torch.as_tensor(partner[batch]), at]
            if span is not None:
                removed = removed_branch(layer, places, span, usual[at])
                made.append((Change(REMOVED, name, layer, number), removed))
            swapped = swapped_branch(layer, places, span, other)
            made.append((Change(SWAPPED, name, layer, number), swapped))
        return made

    table = model.read(stage, rows, 2 * len(changes), make, "changing directions")
    return table.assign(partner=rows[partner][np.searchsorted(rows, table[ROW])])


def _read_what_is_left(model: ConditionModel, name: str) -> Floats:
    """Fit a new probe at each layer on states without the direction ``name``; return what it reads
    from held-out questions, [held-out, layers].
    """
    read = [
        read_best(
            "what is left",
            without_direction(model.states[:, at], direction)[:, None],
            model.split.questions.training_correct,
            without_direction(model.held_out_states[:, at], direction)[:, None],
            probe_settings(model.context),
        ).by_layer[:, 0]
        for at, direction in enumerate(model.weights[name])
    ]
    return np.stack(read, axis=1)


def _pushes(model: ConditionModel, plan: InterventionPlan, stage: StageStore) -> pd.DataFrame:
    """Push held-out questions along the probe's direction and along random ones."""
    context = model.context
    questions, _ = load_questions(context)
    rows = choose_items(questions, plan.pushed, context.config.seed)
    rng = _rng(context, 1)
    steps: list[tuple[int, str, int, Tensor]] = []
    for at, layer in enumerate(model.layers):
        probe = displacement_of(model.states[:, at], model.weights[PROBE][at])
        length = float(np.linalg.norm(probe))
        steps.append((layer, PROBE, 0, torch.as_tensor(probe, dtype=torch.float32)))
        # Both ways are pushed, so a random direction needs no sign.
        drawn = random_displacement(model.states[:, at], length, rng)
        steps.append((layer, RANDOM, 0, torch.as_tensor(drawn).float()))

    def make(batch: Rows, places: Tensor) -> list[tuple[Change, Branch]]:
        return [
            (
                Change(PUSHED, name, layer, number, length),
                pushed_branch(layer, places, step, length),
            )
            for layer, name, number, step in steps
            for length in plan.lengths
        ]

    return model.read(stage, rows, len(steps) * len(plan.lengths), make, "pushing")


def _map(
    model: ConditionModel, plan: InterventionPlan, stage: StageStore
) -> tuple[pd.DataFrame, Strength, float]:
    """Choose the rank-one map on training questions, and write with it on held-out ones."""
    split, context = model.split, model.context
    rows = spread_rows(split.train, plan.mapped)
    known = np.searchsorted(split.train, rows)
    gradients = model.readout_gradients(rows[:ASKED])
    units = [unit_of(each) for each in gradients]
    scales = [standardise(each) for each in model.out_of_fold.T]
    training, held_out = (
        np.stack([scale.z(each) for scale, each in zip(scales, read.T, strict=True)], axis=1)
        for read in (model.out_of_fold[known], model.held_out)
    )
    tried = candidates(model.layers, model.mean_log_odds(rows))

    def branch_of(each: Strength, unit: Tensor, z: Any, places: Tensor) -> Branch:
        return mapped_branch(each.layer, places, unit, torch.as_tensor(each.amount(z)).float())

    def try_all(batch: Rows, places: Tensor) -> list[tuple[Change, Branch]]:
        return [
            (
                Change(MAPPED, PROBE, each.layer, number),
                branch_of(each, units[at], training[batch, at], places),
            )
            for number, each in enumerate(tried)
            for at in (model.layers.index(each.layer),)
        ]

    table = model.read(stage, rows, len(tried), try_all, "choosing a map")
    written = {
        each: table[(table["kind"] == MAPPED) & (table["number"] == number)]
        .set_index(ROW)["written"]
        .loc[rows.tolist()]
        .to_numpy(dtype=float)
        for number, each in enumerate(tried)
    }
    questions = split.questions
    chosen, found = best_strength(
        written, questions.training_correct[known], questions.training_domain[known]
    )
    at = model.layers.index(chosen.layer)
    partner = derangement(len(split.test), context.config.seed)
    random = _random_units(units[at], plan.random, _rng(context, 2))

    def write(batch: Rows, places: Tensor) -> list[tuple[Change, Branch]]:
        z = held_out[:, at]
        made = [(PROBE, 0, units[at], z[batch]), (OTHER, 0, units[at], z[partner[batch]])]
        made += [(RANDOM, number, unit, z[batch]) for number, unit in enumerate(random)]
        return [
            (
                Change(MAPPED, name, chosen.layer, number),
                branch_of(chosen, unit, amount, places),
            )
            for name, number, unit, amount in made
        ]

    out = model.read(stage, split.test, 2 + len(random), write, "writing with the map")
    place = np.searchsorted(split.test, out[ROW])
    return out.assign(z=held_out[place, at], other=held_out[partner[place], at]), chosen, found


def _random_units(unit: Tensor, count: int, rng: np.random.Generator) -> list[Tensor]:
    """Draw random directions of the norm of ``unit`` [1 + nodes, width] at every token."""
    drawn = [torch.as_tensor(rng.standard_normal(unit.shape)).float() for _ in range(count)]
    norms = unit.norm(dim=-1, keepdim=True)
    return [norms * each / each.norm(dim=-1, keepdim=True) for each in drawn]


def _rng(context: Run, part: int) -> np.random.Generator:
    return np.random.default_rng([context.config.seed, part])
