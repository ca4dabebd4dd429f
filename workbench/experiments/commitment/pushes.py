"""Push the states after the answer along directions, and read the choice.

Every push adds one vector after one layer at every token from the first one after the answer to the
choice. Directions are made of training questions, within domain, in the states at the first token
after the answer: the covariance of the states with expected confidence, less what the answer's
likelihood tells of it (*reported confidence*), and with correctness. Random directions are drawn
even in all directions, and with the states' own covariance. Lengths are in standard deviations of
the layer's states, all directions together; forth is towards more confidence, or right answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.arrays import Floats, Rows
from workbench.elicit.conversation import (
    POSITIONS,
    Conversation,
    ScaleTokens,
    confidence_conversation,
    scale_tokens,
)
from workbench.elicit.greedy import stop_at_newline
from workbench.elicit.parse import parse_confidence
from workbench.elicit.readout import stated_tokens
from workbench.elicit.trie import ScaleTrie
from workbench.experiments.commitment.offered import OFFERED, offer_of
from workbench.experiments.commitment.offered import STAGE as OFFERS
from workbench.loop.answers import answer_likelihoods, given_answers, right_answers
from workbench.loop.patched_items import choose_items
from workbench.loop.questions import load_questions
from workbench.loop.results import column_of
from workbench.loop.run import Run
from workbench.loop.states import states_of_stage
from workbench.measure.cross_fit import folds_of
from workbench.measure.inputs import checked_domain
from workbench.measure.residual import residual_of
from workbench.mechanisms.works.commitment_directions import centre_within
from workbench.patch.generation import WrittenText, generate_branches
from workbench.patch.steering import Push, spread_of
from workbench.patch.text_branches import TextBranch
from workbench.patch.written_confidence import number_positions, read_written
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.probe.states import States
from workbench.questions import prompt_text
from workbench.trace.batches import plan_batches
from workbench.trace.interventions import Branch, Patch
from workbench.trace.sites import Site

STAGE = "commitment_pushes"
PUSHED = "pushed"
BASE, NOTHING, CONFIDENCE, CORRECTNESS, RANDOM = (
    "none",
    "nothing",
    "reported confidence",
    "correctness",
    "random",
)
EVEN, LIKE_STATES = "even", "like states"
FIRST = tuple(f"{RANDOM}, {kind} 1" for kind in (EVEN, LIKE_STATES))
"""The random directions under which text is generated."""
SMALLEST = 1e-300
AFTER = POSITIONS.index("after_answer")


@dataclass(frozen=True)
class PushPlan:
    """The plan of pushes: after ``layer``, by every one of the ``lengths`` either way, beside
    ``random`` directions of each kind at the longest, on so many held-out ``items``.
    """

    layer: int
    lengths: tuple[float, ...]
    random: int
    items: int
    offer: str


@dataclass(frozen=True, eq=False)
class Training:
    """Training questions: the states after their answers, and what directions are made of.

    Attributes:
        rows: [n] of the run's tables.
        codes: [n] domains.
        right, expected, likelihood: [n].
        states: [n, width] after the layer, at the first token after the answer.
    """

    rows: Rows
    codes: Rows
    right: Floats
    expected: Floats
    likelihood: Floats
    states: Floats


def training_states(run: Run, rows: Rows, layer: int) -> Training:
    """Return the training questions ``rows`` with their states after ``layer``."""
    questions, _ = load_questions(run)
    domain = questions["domain"].to_numpy(dtype=str)[rows]
    return Training(
        rows,
        checked_domain(domain, len(rows)),
        right_answers(run, rows).astype(np.float64),
        column_of(run, "elicit", "expected", rows),
        answer_likelihoods(run, rows),
        states_after_answer(states_of_stage(run.stage("elicit")), rows, layer),
    )


def states_after_answer(recorded: States, rows: Rows, layer: int) -> Floats:
    """Return the states [rows, width] at the first token after the answer; nothing else of what was
    ``recorded`` is read or copied.
    """
    return np.asarray(recorded[rows, layer, AFTER], dtype=np.float64)


def make_directions(training: Training, random: int, seed: int) -> dict[str, Floats]:
    """Return the directions [width] by name, each of length one."""
    states = centre_within(training.states, training.codes)
    beyond = residual_of(training.expected, training.likelihood, folds_of(len(training.rows)))
    rng = np.random.default_rng(seed)
    found: dict[str, Floats] = {
        CONFIDENCE: states.T @ centre_within(beyond.values, training.codes),
        CORRECTNESS: states.T @ centre_within(training.right, training.codes),
    }
    for number in range(random):
        found[f"{RANDOM}, {EVEN} {number + 1}"] = rng.standard_normal(len(states.T))
        found[f"{RANDOM}, {LIKE_STATES} {number + 1}"] = states.T @ rng.standard_normal(len(states))
    return {name: each / float(np.linalg.norm(each)) for name, each in found.items()}


def push_choices(run: Run, stage: StageStore, *, plan: PushPlan) -> dict[str, Any]:
    """Read the choice under every push and save the table: row, direction, length, log_odds of
    committing, p_commit, passed (whether the text that is generated under the push declines; read
    of the two directions and of the first random one of each kind, NaN for the others).
    """
    questions, _ = load_questions(run)
    offered = run.stage(OFFERS).table(OFFERED)
    train = offered[offered["split"] == "train"][ROW].to_numpy()
    training = training_states(run, train, plan.layer)
    names, pushes = _pushes(training, plan, run.config.seed)
    held_out = offered[offered["split"] == "test"][ROW].to_numpy()
    rows = choose_items(questions.iloc[held_out], plan.items, run.config.seed)
    conversations, numbers = _conversations(run, plan.offer, rows)
    trie = numbers.trie
    written = np.flatnonzero(names["direction"].isin([BASE, CONFIDENCE, CORRECTNESS, *FIRST]))
    budget = run.config.model.tokens_per_forward

    def compute(batch: Rows) -> Part:
        chosen = [conversations[at] for at in batch]
        found = read_written(
            run.lm,
            [each.tokens for each in chosen],
            trie,
            [_branch(push, chosen, trie) for push in pushes],
            tokens_per_forward=budget,
        )
        decline, commit = np.log(np.maximum(found.distribution, SMALLEST)).transpose(2, 0, 1)
        odds = commit - decline
        table = pd.concat([names] * len(batch), ignore_index=True)
        table[ROW] = np.repeat(rows[batch], len(names))
        table["log_odds"], table["p_commit"] = odds.ravel(), (1 / (1 + np.exp(-odds))).ravel()
        passed = np.full((len(batch), len(names)), np.nan)
        passed[:, written] = _passes(run, chosen, numbers, [pushes[at - 1] for at in written[1:]])
        table["passed"] = passed.ravel()
        return Part(table, {})

    lengths = [len(each.tokens) for each in conversations]
    batches = plan_batches(lengths, max(1, budget // 4))
    stage.save_table(PUSHED, run_parts(stage, batches, compute, "pushing").table)
    return {"layer": plan.layer, "precision": run.lm.precision}


def _pushes(training: Training, plan: PushPlan, seed: int) -> tuple[pd.DataFrame, list[Push]]:
    """Return every push, and a table of direction and length of the unsteered model and of each."""
    spread, longest = spread_of(training.states), max(plan.lengths)
    signed = sorted({sign * length for length in plan.lengths for sign in (-1, 1)})
    names, pushes = [(BASE, 0.0), (NOTHING, 0.0)], []
    directions = make_directions(training, plan.random, seed)
    pushes.append(Push(plan.layer, torch.zeros(training.states.shape[1])))
    for name, unit in directions.items():
        own = signed if name in (CONFIDENCE, CORRECTNESS) else [-longest, longest]
        names += [(name, length) for length in own]
        pushes += [
            Push(plan.layer, torch.as_tensor(unit * length * spread, dtype=torch.float32))
            for length in own
        ]
    return pd.DataFrame(names, columns=["direction", "length"]), pushes


def _passes(
    run: Run, chosen: Sequence[Conversation], numbers: ScaleTokens, pushes: Sequence[Push]
) -> Floats:
    """Return whether the text declines that is generated without a push, and under each, which is
    held from the first token after the answer on: [rows, 1 + pushes].
    """
    after = torch.as_tensor([each.position("after_answer") for each in chosen])
    branches = [TextBranch(held=(_add(push, after, len(chosen)),)) for push in pushes]
    found = generate_branches(
        run.lm,
        [each.tokens for each in chosen],
        branches,
        limit=stated_tokens(numbers),
        stop=stop_at_newline(run.lm),
        tokens_per_forward=run.config.model.tokens_per_forward,
    )

    def declines(text: WrittenText) -> bool:
        said = run.lm.tokenizer.decode(list(text.tokens), skip_special_tokens=True)
        return parse_confidence(numbers.said + said, numbers.scale) == 0

    return np.array(
        [
            [declines(one) for (one,) in (base, *patched)]
            for base, patched in zip(found.base, found.patched, strict=True)
        ],
        dtype=np.float64,
    )


def _add(push: Push, places: Tensor, rows: int) -> Patch:
    return Patch(Site(push.layer), places, push.vector.expand(rows, -1).contiguous(), "add")


def _conversations(run: Run, offer: str, rows: Rows) -> tuple[list[Conversation], ScaleTokens]:
    fmt = offer_of(run, offer)
    tokenizer, (_, questions) = run.lm.tokenizer, load_questions(run)
    numbers, said = scale_tokens(tokenizer, fmt), given_answers(run)
    return [
        confidence_conversation(tokenizer, fmt, numbers, prompt_text(questions[row]), *said[row])
        for row in rows
    ], numbers


def _branch(push: Push, chosen: list[Conversation], trie: ScaleTrie) -> Branch:
    """Return the push at every token from the first after the answer to the choice and its later
    tokens. What follows an answer is the same for all, up to a token the answer merges with.
    """
    begins = min(each.confidence - each.position("after_answer") for each in chosen)
    ends = torch.as_tensor([each.confidence for each in chosen])
    before = ends[:, None] - torch.arange(begins, 0, -1)
    places = torch.cat([before, number_positions([each.tokens for each in chosen], trie)], dim=1)
    return [_add(push, place, len(chosen)) for place in places.unbind(dim=1)]
