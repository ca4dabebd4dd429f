from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.elicit.reply_tokens import reply_tokens
from workbench.elicit.segments import (
    AFTER_ANSWER,
    ANSWER,
    CONFIDENCE,
    OPENING,
    QUESTION,
    REPLY,
    Segment,
    segments_of,
)
from workbench.errors import WorkbenchError

PERCENT = FORMATS["percent"]
QUESTIONS = ["What is the capital of Kenya?", "§ 7 of what, and why is it so long?", "Who?"]
ANSWERS = ["Nairobi", "the constitution of a country", ""]


def parts_of(tokenizer: Any, pieces: int) -> tuple[list[tuple[int, ...]], tuple[Segment, ...]]:
    numbers = scale_tokens(tokenizer, PERCENT)
    rows = [
        confidence_conversation(tokenizer, PERCENT, numbers, question, answer)
        for question, answer in zip(QUESTIONS, ANSWERS, strict=True)
    ]
    parts = segments_of(tokenizer, PERCENT, numbers, rows, QUESTIONS, ANSWERS, pieces=pieces)
    return [row.tokens for row in rows], parts


@pytest.mark.parametrize("kind", ["digits", "whole_numbers", "merged_space"])
@pytest.mark.parametrize("pieces", [1, 3])
def test_parts_follow_one_another_and_spell_what_they_are_named_for(
    kind: str, pieces: int, make_tokenizer: Callable[[str], Any]
) -> None:
    tokenizer = make_tokenizer(kind)
    tokens, parts = parts_of(tokenizer, pieces)
    for row, (question, answer) in enumerate(zip(QUESTIONS, ANSWERS, strict=True)):
        text = {
            p.name: tokenizer.decode(list(tokens[row][p.starts[row] : p.ends[row] + 1]))
            for p in parts
        }
        assert [p.starts[row] for p in parts[1:]] == [p.ends[row] + 1 for p in parts[:-1]]
        assert parts[-1].ends[row] == len(tokens[row]) - 1
        assert text[QUESTION] in question
        assert question.endswith(text[QUESTION])
        assert text[ANSWER].strip() == (answer or ":")
        assert text[AFTER_ANSWER] == "<|im_end|>"
        asked = [name for name in text if name.startswith("“")]
        assert len(asked) == pieces
        assert "".join(text[name] for name in asked) == PERCENT.confidence_question
        reply = reply_tokens(tokenizer, PERCENT, scale_tokens(tokenizer, PERCENT))
        assert text[REPLY] + text[CONFIDENCE] == tokenizer.decode(list(reply))
    assert {QUESTION, OPENING, ANSWER} == {p.name for p in parts[:3]}


def test_a_question_keeps_all_its_tokens_where_no_placeholder_is_like_it(
    make_tokenizer: Callable[[str], Any],
) -> None:
    tokenizer = make_tokenizer("digits")
    tokens, parts = parts_of(tokenizer, 2)
    assert (
        tokenizer.decode(list(tokens[0][parts[0].starts[0] : parts[0].ends[0] + 1])) == QUESTIONS[0]
    )


def test_a_segment_checks_itself() -> None:
    for starts, ends in (((1,), (0,)), ((-1,), (0,)), ((0, 1), (2,))):
        with pytest.raises(WorkbenchError, match="start and an end"):
            Segment("x", starts, ends)
