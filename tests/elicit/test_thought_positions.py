"""Where a thought stands in a conversation, by the characters of what its tokens write."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import thinking
from workbench.config import ElicitSettings
from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.format import Format
from workbench.elicit.formats import FORMATS, configured
from workbench.elicit.reply_tokens import before_reply, reply_tokens
from workbench.elicit.thought_positions import (
    THOUGHT_POSITIONS,
    ThoughtSpan,
    last_sentence,
    shows_thought,
)
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

THOUGHT = "The moons are two.\n\nSo it is Mars? Yes. It must be Mars"
SETTINGS = {
    history: ElicitSettings(thinking="on", thinking_history=history)
    for history in ("template", "kept")
}


def in_thought(name: str, history: str = "template") -> Format:
    return configured(FORMATS[name], SETTINGS[history])


@pytest.fixture(scope="module", params=["switched", "always", "gptoss", "glm4moe"])
def thinker(request: pytest.FixtureRequest) -> LanguageModel:
    own = {"switched": thinking.SWITCHED, "always": thinking.ALWAYS}
    template = own.get(request.param) or thinking.published(request.param)
    return thinking.build_thinker(template=template)


def conversation(lm: LanguageModel, fmt: Format, thought: str, again: str = "") -> Any:
    numbers = scale_tokens(lm.tokenizer, fmt)
    said = ("Who?", "Mars", thought, again)
    return confidence_conversation(lm.tokenizer, fmt, numbers, *said)


@pytest.mark.parametrize(
    ("name", "history"), [("percent-one-turn", "template"), ("percent", "kept"), ("digit", "kept")]
)
def test_positions_are_those_of_the_text(thinker: LanguageModel, name: str, history: str) -> None:
    fmt = in_thought(name, history)
    found = conversation(thinker, fmt, THOUGHT)
    assert shows_thought(thinker.tokenizer, fmt)
    span = found.thought
    decode = thinker.tokenizer.decode
    assert decode(found.tokens[span.start : span.end + 1]) == THOUGHT
    assert decode(found.tokens[span.sentence : span.end + 1]).strip() == "It must be Mars"
    size = span.end - span.start
    assert [found.position(each) - span.start for each in THOUGHT_POSITIONS] == [
        size // 4,
        size // 2,
        3 * size // 4,
        span.sentence - span.start,
        size,
    ]
    assert found.question_end < span.start
    assert span.end < found.position("answer_end") < found.confidence
    assert decode(found.tokens[: found.position("answer_end") + 1]).endswith("Answer: Mars")


def test_a_template_that_drops_thoughts_leaves_no_position(thinker: LanguageModel) -> None:
    fmt = in_thought("percent")
    found = conversation(thinker, fmt, THOUGHT)
    assert not shows_thought(thinker.tokenizer, fmt)
    assert found.thought is None
    assert THOUGHT not in thinker.tokenizer.decode(found.tokens)
    with pytest.raises(WorkbenchError, match=r"shows no thought.*elicit\.thinking_history=kept"):
        found.position("thought_end")


def test_a_template_that_keeps_thoughts_gives_positions() -> None:
    lm = thinking.build_thinker(template=thinking.KEEPING)
    fmt = in_thought("percent")
    assert shows_thought(lm.tokenizer, fmt)
    kept = conversation(lm, in_thought("percent", "kept"), THOUGHT)
    assert conversation(lm, fmt, THOUGHT) == kept


@pytest.mark.parametrize("name", ["percent-alone", "words-review-own"])
def test_a_thought_is_not_in_another_conversation(thinker: LanguageModel, name: str) -> None:
    fmt = in_thought(name)
    assert not shows_thought(thinker.tokenizer, fmt)
    assert conversation(thinker, fmt, THOUGHT).thought is None


def test_an_empty_thought_has_one_place(thinker: LanguageModel) -> None:
    fmt = in_thought("percent-one-turn")
    found = conversation(thinker, fmt, "")
    places = {found.position(name) for name in THOUGHT_POSITIONS}
    assert places == {found.thought.end}
    assert found.thought.end < found.position("answer_end")


@pytest.mark.parametrize("ending", ["", ".", "?", "7", "\t"])
def test_a_thought_ends_at_its_last_character(thinker: LanguageModel, ending: str) -> None:
    fmt = in_thought("percent-one-turn")
    thought = f"No{ending}".strip()
    found = conversation(thinker, fmt, thought)
    last = thinker.tokenizer.decode([found.tokens[found.position("thought_end")]])
    assert last.strip() == thought[-1]


def test_the_thought_before_the_confidence_precedes_the_reply(thinker: LanguageModel) -> None:
    fmt = in_thought("percent-second-thought")
    numbers = scale_tokens(thinker.tokenizer, fmt)
    found = conversation(thinker, fmt, THOUGHT, "I am sure.")
    reply = reply_tokens(thinker.tokenizer, fmt, numbers)
    before = thinker.tokenizer.decode(before_reply(found, reply))
    assert "I am sure." in before
    text = thinker.tokenizer.decode(found.tokens)
    assert text.rstrip().endswith("Confidence:")
    assert text.index("Answer: Mars") < text.index("I am sure.")
    assert "Confidence:" in thinker.tokenizer.decode(reply)


@pytest.mark.parametrize(
    ("thought", "expected"),
    [
        ("One only", "One only"),
        ("One. Two", "Two"),
        ("One.\nTwo?\n\n- three", "- three"),
        ("One! Two. ", "Two. "),
        ("3.5 is one", "3.5 is one"),
        ("", ""),
    ],
)
def test_last_sentences(thought: str, expected: str) -> None:
    assert thought[last_sentence(thought) :] == expected


def test_a_span_is_in_order() -> None:
    with pytest.raises(WorkbenchError, match="out of order"):
        ThoughtSpan(3, 5, 2)
