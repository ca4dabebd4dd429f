"""Say which forward passes every stage of the loop makes, in the order in which a run makes them.

Batches are cut by the functions that cut them in a run, and caches of keys and values fill up as
they do there, so passes and tokens are those of an uninterrupted run whose answers, stated texts
and targets have the lengths that the questions say. Probing and the report need no passes.

For families that take no mask every prompt is a string of its own, and nothing is planned: they are
refused by who asks (:mod:`workbench.plan.plan`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from workbench.arrays import Floats
from workbench.config import RunConfig
from workbench.elicit.answer_table import answer_batches
from workbench.elicit.confidence_table import reading_batches
from workbench.elicit.conversation import POSITIONS
from workbench.loop.confidence import REPEATED_BATCHES
from workbench.loop.questions import spread_rows
from workbench.plan.forwards import (
    Forward,
    Group,
    Task,
    generation_forwards,
    prompt_forwards,
    reading_forwards,
    whole_forward,
)
from workbench.plan.prefix_bytes import PrefixBytes
from workbench.plan.questions import PlannedQuestions
from workbench.teach.training import first_layer


@dataclass(eq=False)
class PlannedRun:
    """A run as far as it is planned: what its stages share.

    Attributes:
        layers, heads: of the model.
        of_token: bytes of one token's keys and values in all layers.
        targets: probabilities that the training questions are taught, in their order.
        taught_tokens: tokens of a training, once it is planned.
    """

    config: RunConfig
    questions: PlannedQuestions
    layers: int
    heads: int
    of_token: int
    targets: Floats
    taught_tokens: int = 0
    prompt_cache: PrefixBytes = field(init=False)
    reply_cache: PrefixBytes = field(init=False)

    def __post_init__(self) -> None:
        most, shared = self.config.model.kv_cache_bytes, len(self.questions.beginning)
        self.prompt_cache = PrefixBytes(most, self.of_token, shared)
        self.reply_cache = PrefixBytes(most, self.of_token, shared, self.prompt_cache)

    @property
    def budget(self) -> int:
        """Most tokens of a forward."""
        return self.config.model.tokens_per_forward

    @property
    def start(self) -> int:
        """The layer at which the adapter begins; the middle one where a curve is to say it."""
        settings = self.config.teach
        if settings.start_layer == "patching":
            settings = settings.model_copy(update={"start_layer": "middle"})
        return first_layer(settings, self.layers)

    @property
    def reply(self) -> int:
        """Tokens of the reply that the adapter acts on; 0 for an adapter on whole conversations."""
        return len(self.questions.reply or ())

    @property
    def recorded(self) -> int:
        """Positions whose states are recorded in every layer while the base model is read."""
        return len(POSITIONS) + (0 if self.questions.fmt.reasons else 1)

    def batches(self, rows: Sequence[int]) -> list[list[int]]:
        """Return the batches in which the confidence of ``rows`` is read."""
        lengths = [self.questions.lengths[row] for row in rows]
        planned = reading_batches(lengths, self.questions.numbers, self.budget)
        return [[rows[place] for place in batch] for batch in planned]

    def begin_cache(self, cache: PrefixBytes) -> Task:
        """Return the pass that computes what all rows of a cache share, where it is not there."""
        tokens = cache.begin()
        return [whole_forward("shared beginning", self.layers, 1, tokens)] if tokens else []

    def missing(self, cache: PrefixBytes, rows: Sequence[int], tokens: Sequence[int]) -> Task:
        """Return the passes that compute anew what a full cache does not hold, and what all share
        where that is not there.
        """
        found = [
            whole_forward("beginnings anew", self.layers, len(batch), max(batch))
            for batch in cache.missing(rows, tokens, self.budget)
        ]
        return [*found, *self.begin_cache(cache)]

    def before_reply(self, rows: Sequence[int]) -> list[int]:
        """Return the tokens of each conversation before its reply."""
        return [self.questions.lengths[row] - self.reply for row in rows]

    def replies_kept(self, rows: Sequence[int]) -> Task:
        """Return the passes that bring back what precedes the replies of ``rows``."""
        return self.missing(self.reply_cache, rows, self.before_reply(rows))


def answer_stage(run: PlannedRun, rows: Sequence[int] | None = None, **how: int) -> list[Group]:
    """Plan the answers to all questions; none where a file gives them."""
    asked = run.questions
    if asked.given:
        return []
    every = range(len(asked)) if rows is None else rows
    group = _answers(run, list(every), how.get("most"))
    if rows is None and "most" not in how:
        for batch in _answer_batches(run, list(every)):
            run.prompt_cache.keep(batch, [len(asked.prompts[row]) - 1 for row in batch])
    return [group]


def _answer_batches(run: PlannedRun, rows: Sequence[int]) -> list[list[int]]:
    planned = answer_batches([run.questions.opened[row] for row in rows], run.budget)
    return [[rows[place] for place in batch] for batch in planned]


def _answers(run: PlannedRun, rows: Sequence[int], most: int | None = None) -> Group:
    asked, found = run.questions, []
    for batch in _answer_batches(run, rows)[:most]:
        task: Task = []
        for what, prompts, written in (
            ("reasoning", asked.reasoning, asked.reasoned),
            ("answers", asked.prompts, asked.answered),
        ):
            if not prompts:
                continue
            own = [prompts[row] for row in batch]
            task += prompt_forwards(f"prompts of {what}", run.layers, own)
            columns = max(map(len, own))
            counts = [written[row] for row in batch]
            task += generation_forwards(f"{what}, a token each", run.layers, columns, counts)
        found.append(task)
    return found


def elicit_stage(run: PlannedRun) -> list[Group]:
    """Plan the base model's confidence, from what answering kept of the prompts."""
    asked, begun = run.questions, run.questions.begun
    lengths, group = asked.lengths, []
    for batch in run.batches(range(len(asked))):
        task: Task = []
        kept = [0] * len(batch) if begun is None else [begun[row] for row in batch]
        if begun is not None:
            task += run.missing(run.prompt_cache, batch, kept)
        task += reading_forwards(
            "conversations and scale",
            run.layers,
            kept,
            [lengths[row] - count for row, count in zip(batch, kept, strict=True)],
            asked.nodes,
            [asked.stated[row] for row in batch],
            recorded=run.recorded,
        )
        group.append(task)
        run.prompt_cache.drop(batch)
        if asked.reply is not None:
            task += run.begin_cache(run.reply_cache)
            run.reply_cache.keep(batch, run.before_reply(batch))
    return [group]


def read_adapter_stage(
    run: PlannedRun, rows: Sequence[int], *, recorded: int, answers: bool
) -> list[Group]:
    """Plan what an adapter states on ``rows``.

    Args:
        recorded: positions whose states are recorded.
        answers: whether the first answers are given anew with the adapter off, and, of an adapter
            on whole conversations, held-out ones with it on.
    """
    asked, group = run.questions, []
    adapted = run.layers - run.start
    for batch in run.batches(rows):
        written = [asked.stated[row] for row in batch]
        lengths = [asked.lengths[row] for row in batch]
        task: Task = []
        if asked.reply is None:
            kept, rests, acted = [0] * len(batch), lengths, 0
        else:
            task += run.replies_kept(batch)
            kept, rests, acted = run.before_reply(batch), [run.reply] * len(batch), adapted
        task += reading_forwards(
            "replies and scale" if asked.reply else "conversations and scale",
            run.layers,
            kept,
            rests,
            asked.nodes,
            written,
            acted,
            min(recorded, 1) if asked.reply else recorded,
        )
        group.append(task)
    found = [group]
    if answers and not asked.given:
        found.append(_answers(run, list(range(len(asked))), REPEATED_BATCHES))
        if asked.reply is None:
            test = np.asarray(asked.side("test"))
            most = run.config.measure.adapter_answers or len(test)
            found.append(_answers(run, spread_rows(test, most).tolist()))
    return found


def tuned_stage(run: PlannedRun) -> list[Group]:
    """Plan the tuned model's confidence in all answers."""
    return read_adapter_stage(
        run, list(range(len(run.questions))), recorded=len(POSITIONS), answers=True
    )


def control_stage(run: PlannedRun) -> list[Group]:
    """Plan the control's confidence in held-out answers."""
    return read_adapter_stage(run, run.questions.side("test"), recorded=0, answers=False)


def no_passes(run: PlannedRun) -> list[Group]:
    """Return that a stage makes no pass."""
    return []


def forwards_in(groups: Sequence[Group]) -> list[Forward]:
    """Return all forwards of groups."""
    return [each for group in groups for task in group for each in task]


def planned_stages() -> Mapping[str, Callable[[PlannedRun], list[Group]]]:
    """Return what plans the passes of each stage, in the order of the loop."""
    from workbench.plan.attribution import attribute_stage
    from workbench.plan.patching import patch_stage
    from workbench.plan.teaching import teach_control_stage, teach_stage

    return {
        "questions": no_passes,
        "answer": answer_stage,
        "elicit": elicit_stage,
        "probe": no_passes,
        "teach": teach_stage,
        "teach_control": teach_control_stage,
        "elicit_tuned": tuned_stage,
        "elicit_control": control_stage,
        "probe_tuned": no_passes,
        "patch": patch_stage,
        "attribute": attribute_stage,
        "report": no_passes,
    }
