"""Hold a run's model in one condition, and read what it says of questions under changes of the
states that its numbers are read from.

What precedes the confidence reply is kept between passes, so a change costs the tokens that a
number is read from, in the layers above it. Directions come from probes that training questions'
kept states were fitted with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from workbench.arrays import Floats, Rows
from workbench.bottleneck.direction_patches import difference_of_means
from workbench.bottleneck.fixed_maps import LEAST
from workbench.elicit.conversation import Conversation
from workbench.elicit.readout import expected_confidence
from workbench.experiments.text_bottleneck.beginnings import compute_beginnings
from workbench.experiments.text_bottleneck.conditions import BEFORE, ModelCondition
from workbench.experiments.text_bottleneck.read import (
    AT_CONFIDENCE,
    CURVES,
    PROBES,
    Split,
    distributions,
    split_of,
    steps_stage,
    vectors_at,
)
from workbench.loop.confidence import confidence_conversations
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.patch.inputs import ModelInputs
from workbench.patch.mean_gradients import mean_gradients
from workbench.patch.metrics import high_log_odds_of
from workbench.patch.model_states import packed_engine
from workbench.patch.sweep import ONE_BATCH, record_number
from workbench.patch.written_confidence import number_positions, read_written
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.trace.batches import map_batches, plan_batches
from workbench.trace.interventions import Branch

NONE = "none"
PROBE, OWN, MEANS = "probe", "own probe", "difference of means"


@dataclass(frozen=True)
class Change:
    """What a branch does: the ``kind`` of change of a ``direction`` after ``layer``; ``number``
    tells directions of one name apart, ``length`` is that of a push.
    """

    kind: str
    direction: str = ""
    layer: int = -1
    number: int = 0
    length: float = 0.0


MakeBranches = Callable[[Rows, Tensor], list[tuple[Change, Branch]]]
"""The indices of a batch's questions among those asked for, and the tokens their numbers are read
from [rows, 1 + nodes] -> the changes and their branches.
"""


@dataclass(eq=False)
class ConditionModel:
    """A condition's model, and what changes are made from at some ``layers``.

    Attributes:
        states, held_out_states: [questions, layers, width] at the confidence position.
        weights: [layers, width] of the base model's probe there, of the condition's own, and the
            difference of right and wrong training answers' mean states.
        out_of_fold, held_out: what the condition's own probe reads from training questions and
            held-out ones, [questions, layers] probabilities.
    """

    context: Run
    lm: LanguageModel
    condition: ModelCondition
    layers: list[int]
    split: Split = field(init=False)
    states: NDArray[np.floating] = field(init=False)
    held_out_states: NDArray[np.floating] = field(init=False)
    weights: dict[str, Floats] = field(init=False)
    out_of_fold: Floats = field(init=False)
    held_out: Floats = field(init=False)

    def __post_init__(self) -> None:
        context = self.context
        self.split = split_of(context, self.condition)
        held = vectors_at(context, self.condition, AT_CONFIDENCE)
        self.states, self.held_out_states = (
            np.asarray(held.of(rows)[:, self.layers])
            for rows in (self.split.train, self.split.test)
        )
        probes = {PROBE: BEFORE} | ({} if self.condition is BEFORE else {OWN: self.condition})
        self.weights = {
            name: context.stage(steps_stage(source.name)).tensors(PROBES)["weights"][self.layers]
            for name, source in probes.items()
        }
        asked = self.split.questions
        self.weights[MEANS] = np.stack(
            [
                difference_of_means(each, asked.training_correct, asked.training_domain)
                for each in self.states.swapaxes(0, 1)
            ]
        )
        kept = context.stage(steps_stage(self.condition.name))
        self.out_of_fold = kept.tensors(PROBES)["out_of_fold"][:, self.layers]
        self.held_out = kept.tensors(CURVES)[AT_CONFIDENCE][:, self.layers]

    def conversations(self, rows: Rows) -> list[Conversation]:
        """Return the conversations of ``rows`` up to the confidence position."""
        return [self.everyone[row] for row in rows]

    @cached_property
    def everyone(self) -> list[Conversation]:
        """The conversations of all questions, by row."""
        return confidence_conversations(self.context)

    def readout_gradients(self, rows: Rows) -> Tensor:
        """Return the mean gradient of the log-odds of high numbers over questions ``rows``,
        [layers, 1 + nodes, width].
        """
        trie = self.context.scale_tokens.trie
        prompts = [each.tokens for each in self.conversations(rows)]
        return mean_gradients(
            ModelInputs(self.lm, prompts, number_positions(prompts, trie)),
            self.layers,
            high_log_odds_of(trie),
            tokens_per_forward=self.context.config.model.tokens_per_forward,
        )

    def mean_log_odds(self, rows: Rows) -> float:
        """Return the mean log-odds of high numbers over questions ``rows``, nats."""
        values = np.asarray(self.context.fmt.scale.values, dtype=np.float64)
        high = values >= (values.min() + values.max()) / 2
        p = np.maximum(distributions(self.context, self.condition, rows).astype(np.float64), LEAST)
        return float(np.log(p[:, high].sum(axis=1) / p[:, ~high].sum(axis=1)).mean())

    def number_states(self, rows: Rows) -> Tensor:
        """Record the states that numbers are read from, [rows, layers, 1 + nodes, width] float32
        on the CPU.
        """
        trie = self.context.scale_tokens.trie
        prompts = [each.tokens for each in self.conversations(rows)]
        begun = compute_beginnings(self.context, self.lm, self.everyone, rows)
        ends = np.asarray([[len(prompt) - 1] for prompt in prompts])

        def compute(batch: Rows) -> Tensor:
            found = record_number(
                self.lm,
                [prompts[i] for i in batch],
                trie,
                ends[batch].tolist(),
                packed_engine(begun, batch, ends[batch]),
            )
            return found[:, self.layers].float().cpu()

        budget = self.context.config.model.tokens_per_forward
        return map_batches(
            [len(p) for p in prompts],
            budget,
            compute,
            trie.tree.size,
            description="recording what numbers are read from",
        )

    def read(
        self, stage: StageStore, rows: Rows, branches: int, make: MakeBranches, description: str
    ) -> pd.DataFrame:
        """Read every row unpatched and under every change; one line each."""
        context = self.context
        scale, trie = context.fmt.scale, context.scale_tokens.trie
        prompts = [each.tokens for each in self.conversations(rows)]
        begun = compute_beginnings(context, self.lm, self.everyone, rows)
        lengths = [len(prompt) for prompt in prompts]
        planned = plan_batches(
            lengths,
            context.config.model.tokens_per_forward,
            overhead=branches * (1 + trie.tree.size),
        )

        def compute(batch: Rows) -> Part:
            these = [prompts[i] for i in batch]
            made = make(batch, number_positions(these, trie))
            ends = np.asarray([len(prompt) - 1 for prompt in these])
            found = read_written(
                self.lm,
                these,
                trie,
                [branch for _, branch in made],
                tokens_per_forward=ONE_BATCH,
                engine=packed_engine(begun, batch, ends),
            )
            changes = pd.DataFrame([vars(each) for each in (Change(NONE), *(c for c, _ in made))])
            table = pd.concat([changes] * len(batch), ignore_index=True)
            table[ROW] = np.repeat(rows[batch], len(changes))
            expected = expected_confidence(found.distribution, scale.values, scale.certain)
            table["expected"] = expected.ravel()
            table["written"] = found.written.ravel() / scale.certain
            return Part(table, {})

        return run_parts(stage, planned, compute, f"{description} {self.condition.label}").table
