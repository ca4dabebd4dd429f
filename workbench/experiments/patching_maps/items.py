"""Cut the conversations of a finished run's held-out questions into parts, in base and tuned model,
for maps.

The tuned model is the base model with its adapter on. Where the adapter acts on the confidence
reply alone, base and tuned runs differ in the reply's tokens only, so maps of base <- tuned cover
the parts of the reply; everything before is equal by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.arrays import Rows
from workbench.elicit.segments import AFTER_ANSWER, CONFIDENCE, REPLY, Segment, segments_of
from workbench.errors import WorkbenchError
from workbench.loop.confidence import confidence_conversations
from workbench.loop.patched_items import choose_items
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.metrics import expected_confidence_of
from workbench.questions import prompt_text
from workbench.trace.batches import plan_batches

PIECES = 3
TAIL_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class PatchingItems:
    """Held-out questions of a run that are patched.

    Attributes:
        rows: [items] their rows in the run's tables.
        parts: the conversations' parts in token order.
        before: the base model.
        after: the model with the adapter on.
        reading: reading of the expected confidence.
        batches: items whose branches are computed together.
    """

    rows: NDArray[np.int64]
    parts: tuple[Segment, ...]
    before: ModelInputs
    after: ModelInputs
    reading: Reading
    batches: list[Rows]

    def part(self, name: str) -> Segment:
        """Return a part by its name.

        Raises:
            WorkbenchError: for an unknown part.
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise WorkbenchError(
            f"The conversations have no part {name!r}, but {', '.join(p.name for p in self.parts)}."
        )

    @property
    def after_answer_parts(self) -> list[Segment]:
        """The parts between the first token after the answer and the confidence position."""
        ends = self.part(AFTER_ANSWER).ends
        after = [part for part in self.parts if part.name != CONFIDENCE]
        return [
            part for part in after if min(s - e for s, e in zip(part.starts, ends, strict=True)) > 0
        ]

    @property
    def reply(self) -> list[Segment]:
        """The parts an adapter on the reply acts on."""
        return [part for part in self.parts if part.name in (REPLY, CONFIDENCE)]


def patching_items(context: Run, tuned: LanguageModel, items: int) -> PatchingItems:
    """Choose ``items`` held-out questions of a run, evenly over domains, an even number so that
    they pair up.

    ``tuned`` is the model with the run's adapter on (:meth:`workbench.loop.run.Run.with_adapter`),
    or the base model, of which ``after`` is then the one to read.

    Raises:
        WorkbenchError: for fewer than two held-out questions.
    """
    table, questions = load_questions(context)
    rows = choose_items(table, items, context.config.seed)
    rows = rows[: len(rows) // 2 * 2]
    if len(rows) < 2:
        raise WorkbenchError(
            "Patching maps need at least two held-out questions; raise questions.limit."
        )
    everyone = confidence_conversations(context)
    chosen = [everyone[row] for row in rows]
    answers = context.stage("answer").table("answers")["answer"]
    parts = segments_of(
        tuned.tokenizer,
        context.fmt,
        context.scale_tokens,
        chosen,
        [prompt_text(questions[row]) for row in rows],
        [answers[row] for row in rows],
        pieces=PIECES,
    )
    prompts = [conversation.tokens for conversation in chosen]
    budget = context.config.model.tokens_per_forward
    reading = Reading(
        expected_confidence_of(context.scale_tokens.trie, context.fmt.scale.certain), budget
    )
    after = ModelInputs(tuned, prompts)
    before = ModelInputs(tuned, prompts, within=lambda: adapter_off(tuned))
    # Prompts take a part of each pass; the rest is for their branches.
    batches = plan_batches([len(p) for p in prompts], max(1, int(TAIL_SHARE * budget)))
    return PatchingItems(rows, parts, before, after, reading, batches)
