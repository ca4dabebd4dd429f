"""Judge planted worlds as a run is judged.

States, distribution and text come from the package's own readout of the model, steps from the
probes of a run, and the verdict from the same function as in the experiment
(:mod:`workbench.bottleneck.conclude`). Remedies are tried in every world: a fixed map of the
output; a rank-one map from the probe's direction onto the readout, of the state at the confidence
position after the last layer; and a teaching. Where the truth is that one direction does not help,
the rank-one map starts from a direction that the clue does not move, as one from a useless probe
would. A taught text is not trained but made up, of the clue's score and noise: after teaching a
model is one that says what it knows, and how well a training does that is not what is asked here.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.arrays import Floats
from workbench.bench.planted_bottlenecks import TEACHABLE, TRAINING, PlantedWorld
from workbench.bottleneck.conclude import Readings, conclude, write_by_best_map
from workbench.bottleneck.fixed_maps import Training, log_of
from workbench.bottleneck.readings import Reading, read_best
from workbench.bottleneck.scale_lens import node_states
from workbench.bottleneck.steps import Questions, Step
from workbench.bottleneck.verdict import (
    FIXED_MAP,
    NOT_IN_TEXT,
    ONE_DIRECTION,
    TEACHING,
    BottleneckVerdict,
)
from workbench.elicit.conversation import QUESTION_END
from workbench.elicit.greedy import largest_log_probability
from workbench.elicit.readout import ConfidenceReading, read_confidence
from workbench.measure import auroc2_within
from workbench.models.unembed import unembed_reduced
from workbench.probe import ProbeSettings

SETTINGS = ProbeSettings(folds=4, inner_folds=3, inverse_penalties=(1e-4, 1e-3, 1e-2, 1e-1), seed=0)
PLACES = (QUESTION_END, "answer_end", "confidence")
ROWS_AT_ONCE = 128
STRENGTHS = (0.1, 0.3, 1.0, 3.0)
"""How far a standard deviation along the source moves a state, in lengths of a state."""
TAUGHT_NOISE = 0.3


def judge_planted(world: PlantedWorld) -> BottleneckVerdict:
    """Return the verdict on a world."""
    readings = [
        read_confidence(
            world.planted.lm,
            world.conversations[start : start + ROWS_AT_ONCE],
            world.words.scale,
            PLACES,
        )
        for start in range(0, len(world.conversations), ROWS_AT_ONCE)
    ]
    states = np.concatenate([_states(each) for each in readings])
    p = np.concatenate([each.distribution for each in readings])
    stated = np.concatenate([each.stated for each in readings])
    train, test = np.flatnonzero(world.train), np.flatnonzero(~world.train)
    questions = questions_of(world)

    def read(name: str, vectors: NDArray[np.floating]) -> Reading:
        return read_best(name, vectors[train], questions.training_correct, vectors[test], SETTINGS)

    known = [read(place, states[:, :, PLACES.index(place)]).step for place in PLACES[:2]]
    carried = read("at the confidence position", states[:, :, -1])
    found = Readings(
        known,
        carried.step,
        read("all number logits", log_of(p)[:, None]).step,
        Step("text", stated[train], stated[test]),
    )
    verdict = conclude(found, questions, {})
    if verdict.verdict != NOT_IN_TEXT:
        # No remedy is asked for, and fitting them takes half of a world's time.
        return verdict
    training = Training(
        p[train],
        questions.training_correct,
        questions.training_domain,
        np.asarray(world.words.scale.scale.shares),
    )
    remedies = {
        FIXED_MAP: write_by_best_map(training, p[test]),
        ONE_DIRECTION: _along_direction(world, carried),
        TEACHING: _taught(world)[test],
    }
    return conclude(found, questions, remedies)


def questions_of(world: PlantedWorld) -> Questions:
    """Return the grades and domains of a world's training and held-out questions."""
    train, test = world.train, ~world.train
    return Questions(
        world.correct[train], world.domain[train], world.correct[test], world.domain[test]
    )


def _states(reading: ConfidenceReading) -> NDArray[np.float32]:
    assert reading.states is not None
    return reading.states


def _along_direction(world: PlantedWorld, carried: Reading) -> Floats:
    source = torch.as_tensor(carried.weights[-1], dtype=torch.float32)
    if world.case is TEACHABLE:
        drawn = torch.randn(len(source), generator=torch.Generator().manual_seed(TRAINING))
        moved = torch.stack([world.planted.direction(name) for name in ("clue", "clue twin")])
        source = drawn - drawn @ moved.T @ moved
    return write_along_direction(world, source)


def write_along_direction(world: PlantedWorld, source: Tensor) -> Floats:
    """Return what is written [held-out] once the state at the confidence position after the last
    layer is moved by a rank-one map: along the readout's high minus low numbers, by its coordinate
    on ``source`` [width]. How strongly is chosen on training questions.
    """
    lm, scale = world.planted.lm, world.words.scale
    with torch.no_grad():
        states = torch.cat(
            [
                node_states(
                    lm, [c.tokens for c in world.conversations[start : start + 128]], scale.trie
                )[:, -1]
                for start in range(0, len(world.conversations), ROWS_AT_ONCE)
            ]
        )
        here = states[:, 0]
        rows = lm.model.get_output_embeddings().weight[list(world.words.firsts)]
        high = torch.linspace(-1, 1, len(rows)) @ (rows - rows.mean(dim=0))
        along = high / high.norm() * here.norm(dim=1).mean()
        coordinate = here @ source
        known = coordinate[torch.as_tensor(world.train)]
        coordinate = (coordinate - known.mean()) / known.std()

        def write(strength: float) -> Floats:
            moved = states.clone()
            moved[:, 0] += strength * coordinate[:, None] * along
            final = lm.final_norm()(moved)
            scores = unembed_reduced(lm, final, scale.trie.readout)
            best = unembed_reduced(lm, final, largest_log_probability)
            return scale.trie.greedy_values(scores, best)

        texts = [write(strength) for strength in STRENGTHS]
    train = world.train
    told = [auroc2_within(t[train], world.correct[train], world.domain[train]) for t in texts]
    return texts[int(np.nanargmax(told))][~train]


def _taught(world: PlantedWorld) -> Floats:
    rng = np.random.default_rng(len(world.clue))
    noisy = world.clue + rng.normal(0, TAUGHT_NOISE, len(world.clue))
    return np.round(noisy, 1)
