"""Take asked questions as prompts: their conversations up to the confidence position.

A model with another tokenizer or template is given the same questions, answers and reasoning as its
own tokens. The confidence position is then the place in both: the last token before the confidence,
whatever the tokens there. Every model is told the same answers, those of the model that was asked,
so the other one may find them unlikely.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import pandas as pd

from workbench.api.prompts import PromptTokens, token_texts
from workbench.elicit.ask import answers_with_reasoning
from workbench.elicit.conversation import (
    Conversation,
    ScaleTokens,
    check_conversation,
    confidence_conversation,
    scale_tokens,
)
from workbench.elicit.format import Format
from workbench.models import LanguageModel
from workbench.questions import Question, prompt_text


@runtime_checkable
class AskedQuestions(Protocol):
    """Questions that were asked, as far as a sweep needs to know them."""

    @property
    def conversations(self) -> Sequence[Conversation]: ...

    @property
    def format(self) -> Format: ...

    @property
    def scale_tokens(self) -> ScaleTokens: ...


@runtime_checkable
class AskedTexts(AskedQuestions, Protocol):
    """Asked questions with the texts their conversations are made of."""

    @property
    def lm(self) -> LanguageModel: ...

    @property
    def questions(self) -> Sequence[Question]: ...

    @property
    def replies(self) -> pd.DataFrame: ...


def tokens_of(lm: LanguageModel, asked: AskedQuestions) -> PromptTokens:
    """Return the conversations up to the confidence position, as prompts of ``lm``."""
    rows = tuple(tuple(conversation.tokens) for conversation in conversations_for(lm, asked))
    pieces = tuple(token_texts(lm.tokenizer, row) for row in rows)
    again = (lambda other: tokens_of(other, asked)) if isinstance(asked, AskedTexts) else None
    return PromptTokens(rows, pieces, again)


def conversations_for(lm: LanguageModel, asked: AskedQuestions) -> Sequence[Conversation]:
    """Return the conversations as ``lm``'s tokenizer and template put them; as they are where the
    asked model's tokenizer is the same, and where their texts are not known.

    Raises:
        WorkbenchError: where the tokenizer of ``lm`` cannot tell the scale's texts apart.
    """
    if not isinstance(asked, AskedTexts) or asked.lm.tokenizer is lm.tokenizer:
        return asked.conversations
    fmt, tokenizer = asked.format, lm.tokenizer
    numbers = scale_tokens(tokenizer, fmt)
    questions = [prompt_text(question) for question in asked.questions]
    said = (
        [("", "")] * len(questions)
        if fmt.layout == "confidence-first"
        else answers_with_reasoning(asked.replies)
    )
    check_conversation(tokenizer, fmt, numbers, questions[0], *said[0])
    return [
        confidence_conversation(tokenizer, fmt, numbers, question, *texts)
        for question, texts in zip(questions, said, strict=True)
    ]
