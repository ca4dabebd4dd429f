"""Lay out the prompts and conversations of a run before anything is answered.

What the model will write is not known, so it is assumed, and said: an answer takes half of the
tokens that its limit allows, or as many as the first accepted one where that is longer, because
small models answer in sentences, and the stated confidence is the most common length of the scale's
texts. Prompts are written with the model's own tokenizer where it lies on this machine, else with
that of the default model, whose vocabulary is small, so that counts come out on the high side. Of
many questions the first are tokenised and their lengths repeated.

From a finished run everything is read from its tables instead, and no number is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from workbench.config import RunConfig
from workbench.elicit.conversation import (
    Conversation,
    ScaleTokens,
    answer_beginning,
    answer_tokens,
    confidence_conversation,
    reasoning_tokens,
    scale_tokens,
)
from workbench.elicit.format import Format
from workbench.elicit.formats import configured, require_no_thought
from workbench.elicit.readout import stated_tokens
from workbench.elicit.reply_tokens import reply_tokens
from workbench.errors import WorkbenchError
from workbench.loading.tokenizer import open_tokenizer
from workbench.loop.questions import drawn_questions
from workbench.loop.run import loop_format
from workbench.models.embedded_models import DEFAULT_SPEC
from workbench.models.source import explain_errors, find_source
from workbench.pipeline.store import ROW
from workbench.questions import Question, prompt_text

TOKENISED = 290
"""Questions that are tokenised; the lengths of more are these again."""
Tokens = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PlannedQuestions:
    """The tokens of a run's questions, a row each.

    Attributes:
        table: row, domain and split.
        opened: prompts that answering is batched by, without reasoning.
        reasoning: prompts that reasoning is written after; empty where none is asked for.
        reasoned: tokens of the reasoning, its end included.
        prompts: prompts that the answer is written after.
        answered: tokens of each answer, the one that ends it included.
        conversations: up to the confidence position.
        stated: tokens of each stated confidence, the one that ends it included.
        numbers: tokens of the scale.
        reply: tokens that an adapter on the reply acts on; None for one on whole conversations.
        beginning: tokens that answer prompts begin with, which caches hold once.
        given: whether a file gives the answers.
        notes: what was assumed.
    """

    table: pd.DataFrame
    opened: Sequence[Tokens]
    reasoning: Sequence[Tokens]
    reasoned: Sequence[int]
    prompts: Sequence[Tokens]
    answered: Sequence[int]
    conversations: Sequence[Conversation]
    stated: Sequence[int]
    numbers: ScaleTokens
    reply: Tokens | None
    beginning: Tokens
    fmt: Format
    tokenizer: Any
    given: bool
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.conversations)

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of every conversation."""
        return [len(each.tokens) for each in self.conversations]

    @property
    def nodes(self) -> int:
        """Tokens of the scale that are read after every conversation."""
        return self.numbers.trie.tree.size

    @cached_property
    def begun(self) -> list[int] | None:
        """Tokens of each conversation whose keys and values answering leaves; None where it leaves
        none.
        """
        pairs = zip(self.conversations, self.prompts, strict=True)
        if self.given or not all(c.tokens[: len(p)] == p for c, p in pairs):
            return None
        return [len(prompt) - 1 for prompt in self.prompts]

    def side(self, name: str) -> list[int]:
        """Return the rows on a side of the split."""
        return np.flatnonzero(self.table["split"] == name).tolist()


def plan_tokenizer(config: RunConfig) -> tuple[Any, str]:
    """Return the tokenizer of the configured model, or of the default one, and a note where it is
    another's.
    """
    model = config.model
    for name in dict.fromkeys((model.name, DEFAULT_SPEC)):
        try:
            source = find_source(name, None, None)
            with explain_errors(name, source):
                found = open_tokenizer(
                    source.place,
                    name,
                    model.chat_template,
                    config.elicit.template,
                    model.date,
                    {"local_files_only": True, "revision": source.revision},
                )
        except WorkbenchError:
            if name == DEFAULT_SPEC:
                raise
            continue
        note = (
            ""
            if name == model.name
            else f"The tokenizer of {model.name!r} is not on this machine; lengths are those of "
            "the default model's, whose smaller vocabulary makes more tokens."
        )
        return found, note
    raise AssertionError


def plan_questions(config: RunConfig, count: int | None = None) -> PlannedQuestions:
    """Lay out ``count`` questions of the configured source; None for as many as the settings draw.

    Raises:
        WorkbenchError: for formats with a thought, whose length nothing bounds but its limit, and
            formats that the loop cannot run on.
    """
    fmt = configured(loop_format(config.elicit.format), config.elicit)
    require_no_thought(fmt, "A plan of tokens")
    tokenizer, note = plan_tokenizer(config)
    wanted = config.questions.limit if count is None else count
    total = len(drawn_questions(_limited(config, None))[0]) if wanted is None else wanted
    questions, split = drawn_questions(_limited(config, min(total, TOKENISED)))
    limits = config.elicit
    answers = [_answer(question, tokenizer, limits.answer_tokens // 2) for question in questions]
    texts = [prompt_text(question) for question in questions]
    numbers = scale_tokens(tokenizer, fmt)
    thought = "so " * limits.reasoning_tokens if fmt.reasoning_prefix else ""
    notes = [
        note,
        "Answers take half of the tokens they may have, or those of the first accepted one where "
        "that is longer.",
        f"{total:,} questions repeat the lengths of {len(questions):,}."
        if total > len(questions)
        else "",
    ]
    found = PlannedQuestions(
        table=pd.DataFrame(
            {
                ROW: range(len(questions)),
                "domain": [question.domain for question in questions],
                "split": [split[question.id] for question in questions],
            }
        ),
        opened=[answer_tokens(tokenizer, fmt, text) for text in texts],
        reasoning=[reasoning_tokens(tokenizer, fmt, text) for text in texts] if thought else [],
        reasoned=[limits.reasoning_tokens] * len(texts) if thought else [],
        prompts=[answer_tokens(tokenizer, fmt, text, reasoning=thought) for text in texts],
        answered=[
            min(limits.answer_tokens, 1 + len(tokenizer(text, add_special_tokens=False).input_ids))
            for text in answers
        ],
        conversations=[
            confidence_conversation(tokenizer, fmt, numbers, text, answer, thought)
            for text, answer in zip(texts, answers, strict=True)
        ],
        stated=[_usual_length(numbers)] * len(texts),
        numbers=numbers,
        reply=None
        if config.teach.adapter_scope == "conversation"
        else reply_tokens(tokenizer, fmt, numbers),
        beginning=answer_beginning(tokenizer, fmt),
        fmt=fmt,
        tokenizer=tokenizer,
        given=config.questions.graded_file is not None,
        notes=tuple(filter(None, notes)),
    )
    return repeat(found, total)


def _limited(config: RunConfig, limit: int | None) -> RunConfig:
    asked = config.questions.model_copy(update={"limit": limit})
    return config.model_copy(update={"questions": asked})


def repeat(found: PlannedQuestions, total: int) -> PlannedQuestions:
    """Return ``total`` questions, as many as there are over and over again."""
    if total <= len(found):
        return found
    rows = [row % len(found) for row in range(total)]

    def again(values: Sequence[Any]) -> list[Any]:
        return [values[row] for row in rows] if len(values) else []

    table = found.table.iloc[rows].reset_index(drop=True).assign(**{ROW: np.arange(total)})
    return replace(
        found,
        table=table,
        opened=again(found.opened),
        reasoning=again(found.reasoning),
        reasoned=again(found.reasoned),
        prompts=again(found.prompts),
        answered=again(found.answered),
        conversations=again(found.conversations),
        stated=again(found.stated),
    )


def _answer(question: Question, tokenizer: Any, least: int) -> str:
    """Return the first accepted answer, drawn out to ``least`` tokens or a few more."""
    text = (question.answers or question.options or ("unknown",))[0]
    while len(tokenizer(text, add_special_tokens=False).input_ids) < least:
        text += " so"
    return text


def _usual_length(numbers: ScaleTokens) -> int:
    """Return the tokens of most of the scale's texts and of what ends them."""
    lengths = [len(steps) for steps, _ in numbers.trie.ends]
    return min(stated_tokens(numbers), 1 + max(set(lengths), key=lengths.count))
