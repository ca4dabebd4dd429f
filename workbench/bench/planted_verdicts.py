"""Judge planted worlds as a run is judged.

States, distribution and text come from the package's own readout of the model, steps from the
probes of a run, and the verdict from the same function as in the experiment
(:mod:`workbench.bottleneck.conclude`). Remedies are tried in every world: a fixed map of the
output; the probe's reading put onto the numbers by a rank-one map
(:mod:`workbench.bottleneck.rank_one_map`); and a teaching. Where the truth is that one direction
does not help, random readings are put there, as a useless probe's would be. A taught text is not
trained but made up, of the clue's score and noise: after teaching a model is one that says what it
knows, and how well a training does that is not what is asked here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.bench.planted_bottlenecks import TEACHABLE, PlantedWorld
from workbench.bench.planted_remedies import write_mapped
from workbench.bottleneck.conclude import Readings, conclude, write_by_best_map
from workbench.bottleneck.fixed_maps import Training, log_of
from workbench.bottleneck.readings import Reading, read_best
from workbench.bottleneck.steps import Questions, Step
from workbench.bottleneck.verdict import (
    FIXED_MAP,
    NOT_IN_TEXT,
    ONE_DIRECTION,
    TEACHING,
    BottleneckVerdict,
)
from workbench.elicit.conversation import QUESTION_END
from workbench.elicit.readout import ConfidenceReading, read_confidence
from workbench.probe import ProbeSettings

SETTINGS = ProbeSettings(folds=4, inner_folds=3, inverse_penalties=(1e-4, 1e-3, 1e-2, 1e-1), seed=0)
PLACES = (QUESTION_END, "answer_end", "confidence")
ROWS_AT_ONCE = 128
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
        ONE_DIRECTION: write_mapped(world, *_readings_to_map(world, carried), p[train]),
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


def _readings_to_map(world: PlantedWorld, carried: Reading) -> tuple[Floats, Floats]:
    """Return the probe's readings [training, layers] and [held-out, layers]; random ones where the
    truth is that none helps.
    """
    if world.case is not TEACHABLE:
        return carried.out_of_fold, carried.by_layer
    rng = np.random.default_rng(len(world.clue))
    return rng.random(carried.out_of_fold.shape), rng.random(carried.by_layer.shape)


def _taught(world: PlantedWorld) -> Floats:
    rng = np.random.default_rng(len(world.clue))
    noisy = world.clue + rng.normal(0, TAUGHT_NOISE, len(world.clue))
    return np.round(noisy, 1)
