"""Worked examples in plain text: every format reads as it would be answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.tiny_models import build_tokenizer
from workbench.config import ElicitSettings
from workbench.elicit.conversation import (
    answer_tokens,
    check_conversation,
    confidence_conversation,
    pair_conversation,
    scale_tokens,
)
from workbench.elicit.examples import EXAMPLES, Example
from workbench.elicit.formats import FORMATS, configured, format_for
from workbench.elicit.parse import parse_confidence
from workbench.elicit.reply_tokens import before_reply, reply_tokens
from workbench.errors import WorkbenchError
from workbench.models import render
from workbench.models.plain_turns import use_plain_turns
from workbench.questions.sources import questions_from

PLAIN = ElicitSettings(template="plain")
ASKED = [name for name, row in FORMATS.items() if not row.second_thought]


def test_the_plain_prompt_of_a_format_in_two_turns() -> None:
    tokenizer = build_tokenizer("digits")
    use_plain_turns(tokenizer)
    fmt = replace(configured(FORMATS["digit"], PLAIN), examples=EXAMPLES[:1])
    turns, opening = fmt.confidence_request("Who?", "Ada")
    assert render(tokenizer, turns, opening) == (
        "Answer with only the answer.\n\n"
        "Question: How many strings does a viola have?\nAnswer: 4\n\n"
        "Question: How confident are you that this answer is correct, on a scale from 0 to 9?\n"
        "Confidence: 9\n\n"
        "Question: Who?\nAnswer: Ada\n\n"
        "Question: How confident are you that this answer is correct, on a scale from 0 to 9?\n"
        "Confidence:"
    )


@pytest.mark.parametrize("kind", ["digits", "whole_numbers", "merged_space"])
@pytest.mark.parametrize("name", ASKED)
def test_every_format_can_be_asked_in_plain_text(kind: str, name: str) -> None:
    """Positions are found, replies end in the tokens an adapter acts on, and every example states
    a confidence that the format's own reader reads.
    """
    tokenizer = build_tokenizer(kind)
    tokenizer.chat_template = None
    use_plain_turns(tokenizer)
    fmt = configured(FORMATS[name], PLAIN)
    numbers = scale_tokens(tokenizer, fmt)
    asked = (
        fmt.confidence_turns("Who?", "Ada") if fmt.layout != "pair" else fmt.pair_turns("a", "b")
    )
    said = [turn.content for turn in asked if fmt.confidence_prefix in turn.content]
    stated = [text.partition(fmt.confidence_prefix)[2] for text in said[-len(EXAMPLES) + 1 :]]
    if name != "i-ii":  # whose confidence opens like an answer
        replies = [text for text in stated if not text.startswith(('",', "\n"))]
        assert replies
        for text in replies:
            parsed = parse_confidence(text.split("\nAnswer:")[0], fmt.scale)
            assert 0 <= parsed <= 1
    if fmt.layout == "pair":
        pair = pair_conversation(tokenizer, fmt, numbers, "a", "b")
        assert tokenizer.decode(pair.tokens).count("Choice:") == len(EXAMPLES)
        return
    check_conversation(tokenizer, fmt, numbers, "Who?", "Ada", "So.")
    found = confidence_conversation(tokenizer, fmt, numbers, "Who?", "Ada", "So.")
    if not fmt.shows_answer:
        return
    end = tokenizer.decode(found.tokens[: found.position("answer_end") + 1])
    assert end.endswith("Ada")
    assert before_reply(found, reply_tokens(tokenizer, fmt, numbers))
    prompt = tokenizer.decode(answer_tokens(tokenizer, fmt, "Who?"))
    assert prompt.endswith("Answer:" if fmt.layout != "confidence-first" else "\nAnswer:")


def test_examples_are_no_built_in_questions() -> None:
    asked = {question.text.lower() for question in questions_from("builtin")}
    given = {
        answer.lower() for question in questions_from("builtin") for answer in question.answers
    }
    for one in EXAMPLES:
        assert one.question.lower() not in asked
        assert one.answer == "4" or one.answer.lower() not in given


def test_a_format_by_the_tokenizers_kind() -> None:
    tokenizer = build_tokenizer("digits")
    assert format_for("percent", tokenizer) == FORMATS["percent"]
    use_plain_turns(tokenizer)
    assert format_for("percent", tokenizer).examples == EXAMPLES


def test_certainty_is_a_share() -> None:
    with pytest.raises(WorkbenchError, match="give a share from 0 to 1"):
        Example("Q?", "A", "So.", 95)
