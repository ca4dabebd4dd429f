"""Put a probe's reading onto the numbers of a planted model, as the experiment does on a run's.

The map, its candidates and the choice among them are those of
:mod:`workbench.bottleneck.rank_one_map`; layers are the upper ones of the model, those after which
the confidence position may hold the clue.
"""

from __future__ import annotations

import numpy as np
import torch

from workbench.arrays import Floats, Rows
from workbench.bench.planted_bottlenecks import PlantedWorld
from workbench.bottleneck.fixed_maps import LEAST
from workbench.bottleneck.rank_one_map import (
    Strength,
    best_strength,
    candidates,
    mapped_branch,
    standardise,
    unit_of,
)
from workbench.patch.inputs import ModelInputs
from workbench.patch.mean_gradients import mean_gradients
from workbench.patch.metrics import high_log_odds_of
from workbench.patch.written_confidence import number_positions, read_written

CHOSEN_ON, GRADIENTS, UPPER = 64, 24, 2
"""Training questions that choose the map, and that give the readout direction; layers tried."""
TOKENS_PER_FORWARD = 20_000


def write_mapped(
    world: PlantedWorld, training: Floats, held_out: Floats, distribution: Floats
) -> Floats:
    """Return what is written [held-out] after the rank-one map that is best on training questions.

    Args:
        training, held_out: probabilities that a probe reads at the confidence position, [questions,
            layers]; of training questions out of fold.
        distribution: [training, values] over the scale.
    """
    lm, trie = world.planted.lm, world.words.scale.trie
    train, test = np.flatnonzero(world.train), np.flatnonzero(~world.train)
    layers = list(range(lm.n_layers))[-UPPER:]
    known = np.arange(CHOSEN_ON)
    asked = _prompts(world, train[:GRADIENTS])
    gradients = mean_gradients(
        ModelInputs(lm, asked, number_positions(asked, trie)),
        layers,
        high_log_odds_of(trie),
        tokens_per_forward=TOKENS_PER_FORWARD,
    )
    units = dict(zip(layers, map(unit_of, gradients), strict=True))
    scales = {layer: standardise(training[:, layer]) for layer in layers}

    def write(rows: Rows, read: Floats, tried: list[Strength]) -> Floats:
        """Return what each candidate writes, [rows, candidates]."""
        prompts = _prompts(world, rows)
        places = number_positions(prompts, trie)
        branches = [
            mapped_branch(
                each.layer,
                places,
                units[each.layer],
                torch.as_tensor(each.amount(scales[each.layer].z(read[:, each.layer]))).float(),
            )
            for each in tried
        ]
        found = read_written(lm, prompts, trie, branches, tokens_per_forward=TOKENS_PER_FORWARD)
        return found.written[:, 1:]

    rows = train[known]
    tried = candidates(layers, _mean_log_odds(distribution[known], trie.values))
    written = write(rows, training[known], tried)
    chosen, _ = best_strength(
        dict(zip(tried, written.T, strict=True)), world.correct[rows], world.domain[rows]
    )
    return write(test, held_out, [chosen])[:, 0]


def _prompts(world: PlantedWorld, rows: Rows) -> list[tuple[int, ...]]:
    return [world.conversations[row].tokens for row in rows]


def _mean_log_odds(distribution: Floats, values: tuple[float, ...]) -> float:
    """Return the mean log-odds of the scale's upper half against its lower one, nats."""
    high = np.asarray(values) >= (min(values) + max(values)) / 2
    p = np.maximum(distribution, LEAST)
    return float(np.log(p[:, high].sum(axis=1) / p[:, ~high].sum(axis=1)).mean())
