"""Steer stated confidence towards what the accuracy probe reads, question by question.

The direction of confidence at a layer is the difference of the mean states of training questions
that are stated more and less confidently than the median one, states and confidence less the means
of their domain, at the confidence position. Question i is pushed along it, at the confidence
position and at every further token of the number, by

    strength * (probe's probability - expected confidence) * spread of the layer's states,

so one that is stated too confidently is pushed down. Layer and strength are chosen on some training
questions, by the Brier score of the expected confidence, with probabilities out of fold. Held-out
questions are then read unsteered, steered, and under what a push does without reading the question:
all alike (by the best length on the same training questions), by another question's probability,
and by the same lengths along random directions: random mixtures of the questions' deviations, less
what of them lies along the direction of confidence. (States vary most along few axes, confidence's
among them, so that random directions of equal variance would be much the same one.) The table
"steered" has a row a question and arm; "choice" the Brier scores among which was chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from workbench.arrays import Floats, Rows
from workbench.elicit.readout import expected_confidence
from workbench.experiments.accuracy_directions.directions import READINGS, directions_stage
from workbench.experiments.text_bottleneck.beginnings import compute_beginnings
from workbench.experiments.text_bottleneck.conditions import ModelCondition, model_in
from workbench.experiments.text_bottleneck.read import AT_CONFIDENCE, split_of, vectors_at
from workbench.loop.confidence import confidence_conversations
from workbench.loop.patched_items import choose_items
from workbench.loop.questions import load_questions, spread_rows
from workbench.loop.run import Run
from workbench.measure.within_groups import centre_within
from workbench.models import LanguageModel
from workbench.patch.controls import derangement
from workbench.patch.model_states import packed_engine
from workbench.patch.steering import spread_of
from workbench.patch.sweep import ONE_BATCH
from workbench.patch.written_confidence import number_positions, read_written
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.trace.batches import plan_batches
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site

STEERED, CHOICE = "steered", "choice"
BASE, ADAPTIVE, CONSTANT, PERMUTED, RANDOM = ("base", "steered", "constant", "permuted", "random")
CONSTANTS = (-4.0, -2.0, -1.0, -0.5, 0.5)
"""Lengths of the push that is all alike, in spreads of the layer's states."""


@dataclass(frozen=True)
class SteeringPlan:
    """How many training questions the strength is chosen on, and how many held-out ones are
    steered; the strengths; and how many random directions.
    """

    chosen_on: int
    steered: int
    strengths: tuple[float, ...]
    random: int


@dataclass(frozen=True, eq=False)
class Push:
    """A push of each question: ``vectors`` [questions, width] added after ``layer``."""

    name: str
    layer: int
    vectors: Floats


def steering_stage(condition: str) -> str:
    """Return the name of the stage of a condition."""
    return f"adaptive_steering_{condition}"


def steer_adaptively(
    run: Run, stage: StageStore, *, condition: ModelCondition, plan: SteeringPlan
) -> dict[str, Any]:
    """Choose layer and strength on training questions, steer held-out ones, and save the tables."""
    readings = run.stage(directions_stage(condition.name)).table(READINGS).set_index(ROW)
    chosen_layer = int(run.stage(directions_stage(condition.name)).facts()["layer"])
    split = split_of(run, condition)
    held = vectors_at(run, condition, AT_CONFIDENCE)
    count = held.vectors.shape[1]
    layers = sorted({round(2 * (count - 1) / 3), min(chosen_layer, count - 2)})
    said = readings["expected"].loc[split.train.tolist()].to_numpy()
    axes = {
        layer: ConfidenceAxis(
            np.asarray(held.of(split.train)[:, layer], dtype=np.float64),
            said,
            split.questions.training_domain,
        )
        for layer in layers
    }
    questions, _ = load_questions(run)
    tuned = spread_rows(split.train, plan.chosen_on)
    tested = choose_items(questions, plan.steered, run.config.seed)
    graded = run.stage("answer").table("answers").set_index(ROW)["correct"]
    with model_in(run, condition) as lm:
        units = {ADAPTIVE: _gaps(readings, tuned), CONSTANT: np.ones(len(tuned))}
        names = [
            (kind, layer, size)
            for kind, sizes in ((ADAPTIVE, plan.strengths), (CONSTANT, CONSTANTS))
            for layer in layers
            for size in sizes
        ]
        offered = [
            Push(kind, layer, axes[layer].push(size * units[kind])) for kind, layer, size in names
        ]
        read = _read(run, lm, stage, tuned, offered, f"choosing {condition.name}")
        choice = _choice(read, names, graded)
        best = {
            kind: choice[choice["kind"] == kind].sort_values("brier").iloc[0]
            for kind in (ADAPTIVE, CONSTANT)
        }
        pushes = _arms(run, axes, readings, tested, best, plan)
        table = _read(run, lm, stage, tested, pushes, f"steering {condition.name}")
    stage.save_table(STEERED, table)
    stage.save_table(CHOICE, choice)
    return {
        "layers": layers,
        "layer": int(best[ADAPTIVE]["layer"]),
        "strength": float(best[ADAPTIVE]["size"]),
        "constant_layer": int(best[CONSTANT]["layer"]),
        "constant": float(best[CONSTANT]["size"]),
    }


class ConfidenceAxis:
    """The direction of confidence at a layer, a unit vector, and the spread of states there."""

    def __init__(self, states: Floats, said: Floats, domain: np.ndarray) -> None:
        """Take the difference of the means of more and less confident questions."""
        centred = centre_within(states, domain)
        values = centre_within(said, domain)
        more = values > np.median(values)
        difference = centred[more].mean(axis=0) - centred[~more].mean(axis=0)
        self._centred, self.unit = centred, difference / np.linalg.norm(difference)
        self.spread = spread_of(states)

    def draw_across(self, rng: np.random.Generator) -> Floats:
        """Draw a unit vector [width] with the covariance of states, orthogonal to the direction."""
        drawn = rng.standard_normal(len(self._centred)) @ self._centred
        across = drawn - (drawn @ self.unit) * self.unit
        return np.asarray(across / np.linalg.norm(across))

    def push(self, lengths: Floats, unit: Floats | None = None) -> Floats:
        """Return the push [n, width] of each question by ``lengths`` [n] spreads, along another
        ``unit`` where one is given.
        """
        return np.outer(lengths * self.spread, self.unit if unit is None else unit)


def _gaps(readings: pd.DataFrame, rows: Rows) -> Floats:
    """Return what the probe reads minus what is expected to be said, [n]."""
    mine = readings.loc[rows.tolist()]
    gaps: Floats = (mine["probability"] - mine["expected"]).to_numpy()
    return gaps


def _arms(
    run: Run,
    axes: dict[int, ConfidenceAxis],
    readings: pd.DataFrame,
    rows: Rows,
    best: dict[str, Any],
    plan: SteeringPlan,
) -> list[Push]:
    """Return the pushes of the held-out questions ``rows``."""
    layer, strength = int(best[ADAPTIVE]["layer"]), float(best[ADAPTIVE]["size"])
    axis, mine = axes[layer], readings.loc[rows.tolist()]
    lengths = strength * _gaps(readings, rows)
    partner = derangement(len(rows), run.config.seed)
    other = mine["probability"].to_numpy()[partner] - mine["expected"].to_numpy()
    rng = np.random.default_rng([run.config.seed, 5])
    drawn = [axis.draw_across(rng) for _ in range(plan.random)]
    constant = int(best[CONSTANT]["layer"])
    alike = np.full(len(rows), float(best[CONSTANT]["size"]))
    return [
        Push(ADAPTIVE, layer, axis.push(lengths)),
        Push(CONSTANT, constant, axes[constant].push(alike)),
        Push(PERMUTED, layer, axis.push(strength * other)),
        *(
            Push(f"{RANDOM} {number}", layer, axis.push(lengths, unit))
            for number, unit in enumerate(drawn, start=1)
        ),
    ]


def _read(
    run: Run,
    lm: LanguageModel,
    stage: StageStore,
    rows: Rows,
    pushes: list[Push],
    description: str,
) -> pd.DataFrame:
    """Read every question unpushed and under every push: ``row``, ``arm``, ``number`` of the push,
    ``expected`` and ``written`` in [0, 1].
    """
    everyone = confidence_conversations(run)
    scale, trie = run.fmt.scale, run.scale_tokens.trie
    prompts = [everyone[row].tokens for row in rows]
    begun = compute_beginnings(run, lm, everyone, rows)
    vectors = [torch.as_tensor(each.vectors, dtype=torch.float32) for each in pushes]

    def compute(batch: Rows) -> Part:
        these = [prompts[index] for index in batch]
        places = number_positions(these, trie).unbind(dim=1)
        branches = [
            [
                Patch(Site(push.layer), place, vector[torch.as_tensor(batch)], "add")
                for place in places
            ]
            for push, vector in zip(pushes, vectors, strict=True)
        ]
        ends = np.asarray([len(prompt) - 1 for prompt in these])
        found = read_written(
            lm,
            these,
            trie,
            branches,
            tokens_per_forward=ONE_BATCH,
            engine=packed_engine(begun, batch, ends),
        )
        expected = expected_confidence(found.distribution, scale.values, scale.certain)
        arms = [BASE, *(push.name for push in pushes)]
        table = pd.DataFrame(
            {
                ROW: np.repeat(rows[batch], len(arms)),
                "arm": arms * len(batch),
                "number": list(range(len(arms))) * len(batch),
                "expected": expected.ravel(),
                "written": found.written.ravel() / scale.certain,
            }
        )
        return Part(table, {})

    overhead = len(pushes) * (1 + trie.tree.size)
    lengths = [len(prompt) for prompt in prompts]
    planned = plan_batches(lengths, run.config.model.tokens_per_forward, overhead=overhead)
    return run_parts(stage, planned, compute, description).table


def _choice(
    read: pd.DataFrame, names: list[tuple[str, int, float]], graded: pd.Series
) -> pd.DataFrame:
    """Return the Brier score of every push on training questions."""
    right = read[ROW].map(graded).astype(float)
    brier = ((read["expected"] - right) ** 2).groupby(read["number"]).mean()
    return pd.DataFrame(
        [
            {"kind": kind, "layer": layer, "size": size, "brier": float(brier.loc[number])}
            for number, (kind, layer, size) in enumerate(names, start=1)
        ]
    )
