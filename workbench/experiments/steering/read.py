"""Read the confidence of held-out questions while the model's states are pushed.

The direction of a layer is that of its probe of correctness at the confidence position, fitted on
training questions; random directions are pushed by the same lengths, and one push adds nothing. A
push acts at the confidence position and at every further token of the number. Its length is
measured in standard deviations of the layer's states over training questions, all directions
together; a negative length pushes against the direction, towards wrong answers.

The table does not show whether a longer push, or one at other tokens, would do more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from workbench.elicit.conversation import POSITIONS
from workbench.elicit.readout import expected_confidence
from workbench.elicit.scales import Scale
from workbench.loop.confidence import confidence_conversations
from workbench.loop.patched_items import choose_items
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.loop.states import states_of_stage
from workbench.patch.steering import Push, pushes_along, spread_of, steer
from workbench.patch.written_confidence import WrittenConfidence
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.trace.batches import plan_batches

PROBE = "probe"
BASE = "none"
NOTHING = "nothing"


@dataclass(frozen=True)
class SteeringPlan:
    """The plan of pushes: ``layers``, signed ``lengths`` in standard deviations of a layer's
    states, and how many random directions.
    """

    layers: tuple[int, ...]
    lengths: tuple[float, ...]
    random: int
    items: int


def plan_steering(
    n_layers: int, *, layers: int, lengths: Sequence[float], random: int, items: int
) -> SteeringPlan:
    """Spread ``layers`` evenly over a model of ``n_layers``, its first and last left out, and push
    by every one of ``lengths`` either way.
    """
    spread = np.linspace(0, n_layers - 1, layers + 2).round().astype(int)[1:-1]
    signed = sorted([-length for length in lengths] + list(lengths))
    return SteeringPlan(tuple(np.unique(spread).tolist()), tuple(signed), random, items)


def steered_confidence(context: Run, plan: SteeringPlan, stage: StageStore) -> pd.DataFrame:
    """Read the confidence of held-out questions under every push.

    Returns:
        One line per question and push: ``row``, ``direction`` ("none" once, "nothing", "probe",
        "random 1", ...), ``layer``, ``length``, ``expected`` and ``written`` in [0, 1], ``mass`` on
        the scale.
    """
    questions, _ = load_questions(context)
    rows = choose_items(questions, plan.items, context.config.seed)
    everyone = confidence_conversations(context)
    pushes, names = make_pushes(context, plan)
    scale, trie = context.fmt.scale, context.scale_tokens.trie
    budget = context.config.model.tokens_per_forward

    def compute(batch: NDArray[np.int64]) -> Part:
        chosen = rows[batch]
        tokens = [everyone[row].tokens for row in chosen]
        return Part(
            _lines(
                chosen,
                names,
                steer(context.lm, tokens, trie, pushes, tokens_per_forward=budget),
                scale,
            ),
            {},
        )

    lengths = [len(everyone[row].tokens) for row in rows]
    # Prompts take a part of each pass; the rest is for their branches.
    return run_parts(stage, plan_batches(lengths, max(1, budget // 4)), compute, "steering").table


def _lines(
    rows: NDArray[np.int64], names: pd.DataFrame, found: WrittenConfidence, scale: Scale
) -> pd.DataFrame:
    pushes = len(names)
    table = pd.concat([names] * len(rows), ignore_index=True)
    table[ROW] = np.repeat(rows, pushes)
    table["expected"] = expected_confidence(found.distribution, scale.values, scale.certain).ravel()
    table["written"] = found.written.ravel() / scale.certain
    table["mass"] = found.distribution.sum(axis=-1).ravel()
    return table


def make_pushes(context: Run, plan: SteeringPlan) -> tuple[list[Push], pd.DataFrame]:
    """Make every push; the table names direction, layer and length, those of the unsteered model
    first, then those of each push.
    """
    at = POSITIONS.index("confidence")
    questions, _ = load_questions(context)
    train = np.flatnonzero(questions["split"] == "train")
    states = states_of_stage(context.stage("elicit"))
    weights = context.stage("probe").tensors("probe")["weights"]
    layers = list(plan.layers)
    spreads = np.asarray([spread_of(np.asarray(states[train][:, layer, at])) for layer in layers])
    lengths = spreads[:, None] * np.asarray(plan.lengths)
    rng = np.random.default_rng(context.config.seed)
    directions = {PROBE: weights[layers, at]}
    for number in range(1, plan.random + 1):
        directions[f"random {number}"] = rng.standard_normal((len(layers), weights.shape[-1]))
    pushes = [Push(layer, torch.zeros(weights.shape[-1])) for layer in layers]
    names = [{"direction": BASE, "layer": -1, "length": 0.0}]
    names += [{"direction": NOTHING, "layer": layer, "length": 0.0} for layer in layers]
    for name, direction in directions.items():
        pushes += pushes_along(direction, layers, lengths)
        names += [
            {"direction": name, "layer": layer, "length": length}
            for layer in layers
            for length in plan.lengths
        ]
    return pushes, pd.DataFrame(names)
