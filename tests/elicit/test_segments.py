from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.thinking import published
from workbench.config import ElicitSettings
from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import FORMATS, configured
from workbench.elicit.reply_tokens import reply_tokens
from workbench.elicit.segments import (
    AFTER_ANSWER,
    ANSWER,
    CONFIDENCE,
    OPENING,
    QUARTERS,
    QUESTION,
    REPLY,
    THOUGHT,
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


@pytest.mark.parametrize(
    ("name", "history", "thoughts"),
    [
        ("percent", "kept", ("It is so. Then not.", "Maybe it is not", "So, it is.")),
        ("percent-one-turn", "template", ("It is so. Then not.", "Maybe not", "So")),
        ("percent", "kept", ("It is so.", "", "So")),
        ("percent", "template", ("It is so.", "", "So")),
    ],
)
@pytest.mark.parametrize("template", ["qwen3", "gptoss", "deepseek_r1_distill"])
def test_a_thought_is_cut_into_quarters(
    make_tokenizer: Callable[[str], Any],
    template: str,
    name: str,
    history: Any,
    thoughts: tuple[str, ...],
) -> None:
    """Of which each row has tokens; else it is one part, and none where history drops it."""
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = published(template)
    fmt = configured(FORMATS[name], ElicitSettings(thinking="on", thinking_history=history))
    numbers = scale_tokens(tokenizer, fmt)
    asked = list(zip(QUESTIONS, ANSWERS, thoughts, strict=True))
    rows = [confidence_conversation(tokenizer, fmt, numbers, *said) for said in asked]
    parts = segments_of(tokenizer, fmt, numbers, rows, QUESTIONS, ANSWERS, pieces=2)
    names = [part.name for part in parts]
    shown = "kept" in history or name == "percent-one-turn"
    quarters = shown and min(map(len, thoughts)) > 3
    assert (THOUGHT in names, QUARTERS[0] in names) == (shown and not quarters, quarters)
    for row, (_, answer, thought) in enumerate(asked):
        text = {
            p.name: tokenizer.decode(list(rows[row].tokens[p.starts[row] : p.ends[row] + 1]))
            for p in parts
        }
        assert [p.starts[row] for p in parts[1:]] == [p.ends[row] + 1 for p in parts[:-1]]
        assert text[ANSWER].strip() == (answer or ":")
        if quarters:
            assert "".join(text[name] for name in QUARTERS) == thought
        elif shown and thought:
            assert text[THOUGHT] == thought
