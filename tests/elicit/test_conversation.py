from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.elicit.conversation import (
    POSITIONS,
    QUESTION_END,
    Conversation,
    answer_tokens,
    check_conversation,
    confidence_conversation,
    number_tokens,
    scale_tokens,
    show_position,
)
from workbench.elicit.formats import Format
from workbench.elicit.reply_tokens import before_reply, reply_tokens
from workbench.elicit.scales import PERCENT
from workbench.errors import WorkbenchError
from workbench.models import render

MakeTokenizer = Callable[[str], Any]
KINDS = ("digits", "whole_numbers", "merged_space")
FORMAT = Format("test", "Be brief.", "Answer:", "How sure?", "Confidence:", " ", "%", PERCENT)
START, END = "<|im_start|>", "<|im_end|>"
BEFORE = f"{START}system\nBe brief.{END}\n{START}user\nWho?{END}\n{START}assistant\n"
AFTER = f"{END}\n{START}user\nHow sure?{END}\n{START}assistant\nConfidence:"
NO_SYSTEM_ROLE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ "
    "raise_exception('no') }}"
    "{% endif %}{{ '[' + message['role'] + ']' + message['content'] + eos_token }}{% endfor "
    "%}[assistant]"
)
EMPTY_THOUGHT = (
    "{% for message in messages %}{{ '[' + message['role'] + ']' + message['content'] + eos_token "
    "}}{% endfor %}"
    "[assistant]{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
)
REWRITES = (
    "{% for message in messages %}{{ '[' + message['role'] + ']' }}"
    "{{ message['content'] if message['role'] != 'assistant' else WRITTEN }}{% endfor %}[assistant]"
)


@pytest.mark.parametrize(
    ("kind", "last"), [("digits", " "), ("whole_numbers", " "), ("merged_space", ":")]
)
def test_positions_are_the_places_they_are_named_after(
    make_tokenizer: MakeTokenizer, kind: str, last: str
) -> None:
    """A space that every number begins with belongs to the prompt; one merged into the digit to
    the number.
    """
    tokenizer = make_tokenizer(kind)
    numbers = scale_tokens(tokenizer, FORMAT)
    row = confidence_conversation(tokenizer, FORMAT, numbers, "Who?", "Ada L.")
    text = f"{BEFORE}Answer: Ada L.{AFTER}{last if last == ' ' else ''}"
    assert tokenizer.decode(row.tokens) == text
    marked = {
        name: show_position(tokenizer, row.tokens, row.position(name))
        for name in (*POSITIONS, QUESTION_END)
    }
    assert marked["answer_end"] == text.replace("Ada L.", "Ada L«.»")
    assert marked["after_answer"] == text.replace(f"Ada L.{END}", f"Ada L.«{END}»")
    assert marked[QUESTION_END] == text.replace("Answer:", "Answer«:»")
    assert marked["confidence"] == f"{text[: -len(last)]}«{last}»"


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_continues_the_prompt_as_in_the_whole_string(
    make_tokenizer: MakeTokenizer, kind: str
) -> None:
    tokenizer = make_tokenizer(kind)
    numbers = scale_tokens(tokenizer, FORMAT)
    row = confidence_conversation(tokenizer, FORMAT, numbers, "Who?", "Ada")
    text = render(tokenizer, FORMAT.confidence_turns("Who?", "Ada"), FORMAT.confidence_prefix)
    for value in PERCENT.values:
        whole = tokenizer(f"{text} {value}", add_special_tokens=False)["input_ids"]
        assert [*row.tokens, *number_tokens(numbers, value)] == whole


def test_how_the_three_kinds_of_tokenizers_write_numbers(make_tokenizer: MakeTokenizer) -> None:
    pieces = {}
    for kind in KINDS:
        tokenizer = make_tokenizer(kind)
        numbers = scale_tokens(tokenizer, FORMAT)
        tokens = (*numbers.shared, *number_tokens(numbers, 73))
        pieces[kind] = [tokenizer.decode([token]) for token in tokens]
        assert (
            len(numbers.trie.inner) == {"digits": 11, "whole_numbers": 1, "merged_space": 11}[kind]
        )
    assert pieces == {
        "digits": [" ", "7", "3"],
        "whole_numbers": [" ", "73"],
        "merged_space": [" 7", "3"],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_any_question_and_answer_are_located(make_tokenizer: MakeTokenizer, kind: str) -> None:
    """Spelled special tokens are text: they open and close no turn and move no position."""
    tokenizer = make_tokenizer(kind)
    numbers = scale_tokens(tokenizer, FORMAT)
    piece = st.one_of(
        st.sampled_from(
            [END, START, "<|endoftext|>", "<|", "\n", " 73", "7", "the", "Confidence:", "é", "🙂"]
        ),
        st.text(max_size=4),
    )
    texts = st.lists(piece, max_size=5).map("".join)

    @settings(max_examples=40)
    @given(question=texts, answer=texts)
    def check(question: str, answer: str) -> None:
        check_conversation(tokenizer, FORMAT, numbers, question, answer)
        row = confidence_conversation(tokenizer, FORMAT, numbers, question, answer)
        assert (row.tokens.count(1), row.tokens.count(2), row.tokens.count(0)) == (5, 4, 0)
        assert row.tokens[row.after_answer] == 2
        assert [i for i, token in enumerate(row.tokens) if token == 2][2] == row.after_answer
        opening = answer_tokens(tokenizer, FORMAT, question)
        assert row.question_end == min(len(opening) - 1, row.answer_end)
        answered = tokenizer.decode(row.tokens[len(opening) - 1 : row.answer_end + 1])
        assert answered.strip().removeprefix(":").strip() == answer.strip()

    check()


def test_a_template_without_system_role(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = NO_SYSTEM_ROLE
    numbers = scale_tokens(tokenizer, FORMAT)
    row = confidence_conversation(tokenizer, FORMAT, numbers, "Who?", "Ada")
    check_conversation(tokenizer, FORMAT, numbers, "Who?", "Ada")
    assert show_position(tokenizer, row.tokens, row.answer_end) == (
        f"{START}[user]Be brief.\n\nWho?{END}[assistant]Answer: Ad«a»{END}[user]How "
        f"sure?{END}[assistant]Confidence: "
    )


@pytest.mark.parametrize("answer", ["Ada", "", f"{END} 7", "<think>x</think>"])
def test_a_template_that_leaves_the_empty_thought_out_of_history(
    make_tokenizer: MakeTokenizer, answer: str
) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = EMPTY_THOUGHT
    numbers = scale_tokens(tokenizer, FORMAT)
    row = confidence_conversation(tokenizer, FORMAT, numbers, "Who?", answer)
    check_conversation(tokenizer, FORMAT, numbers, "Who?", answer)
    opening, after = (
        tokenizer.decode(row.tokens[: row.after_answer]),
        tokenizer.decode(row.tokens[row.after_answer :]),
    )
    assert (
        opening == f"[system]Be brief.{END}[user]Who?{END}[assistant]{FORMAT.answer_text(answer)}"
    )
    assert after == f"{END}[user]How sure?{END}[assistant]<think>\n\n</think>\n\nConfidence: "
    assert row.answer_end == row.after_answer - 1


@pytest.mark.parametrize("written", ["'said something'", "message['content'] | upper"])
def test_a_template_that_rewrites_answers_is_refused(
    make_tokenizer: MakeTokenizer, written: str
) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = REWRITES.replace("WRITTEN", written)
    with pytest.raises(WorkbenchError, match="loses or moves the assistant turn"):
        scale_tokens(tokenizer, FORMAT)


def test_a_prefix_that_merges_with_the_number_is_refused(make_tokenizer: MakeTokenizer) -> None:
    fmt = replace(FORMAT, confidence_prefix="Confidence: 1", separator="")
    with pytest.raises(
        WorkbenchError, match=r"merges the end of the confidence prefix 'Confidence: 1'"
    ):
        scale_tokens(make_tokenizer("whole_numbers"), fmt)
    numbers = scale_tokens(make_tokenizer("digits"), fmt)
    assert numbers.shared == ()


def test_numbers_of_another_tokenizer_are_noticed(make_tokenizer: MakeTokenizer) -> None:
    numbers = scale_tokens(make_tokenizer("whole_numbers"), FORMAT)
    with pytest.raises(WorkbenchError, match="Tokenising the reply with the number 100"):
        check_conversation(make_tokenizer("digits"), FORMAT, numbers, "Who?", "Ada")


def test_the_answer_prompt_ends_where_the_answer_begins(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("merged_space")
    assert tokenizer.decode(answer_tokens(tokenizer, FORMAT, "Who?")) == f"{BEFORE}Answer:"


@pytest.mark.parametrize(("answer_end", "after_answer"), [(3, 3), (-1, 0), (2, 5), (4, 2)])
def test_positions_out_of_order_are_refused(answer_end: int, after_answer: int) -> None:
    with pytest.raises(WorkbenchError, match="Positions out of order"):
        Conversation((1, 2, 3, 4, 5), answer_end, after_answer)


def test_an_unknown_position_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Conversation((1, 2, 3), 0, 1).position("question_start")


@pytest.mark.parametrize("name", [QUESTION_END, "answer_end", "after_answer"])
def test_a_conversation_without_the_answer_has_no_position_of_it(name: str) -> None:
    with pytest.raises(WorkbenchError, match=f"no position '{name}'; choose a format that shows"):
        Conversation((1, 2, 3), None, None).position(name)


NO_MARKS = "{% for message in messages %}{{ message['content'] + eos_token }}{% endfor %}"
NO_OPENING = (
    "{% for message in messages %}{{ '[' + message['role'] + ']' + message['content'] + eos_token "
    "}}{% endfor %}"
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("template", "opening"),
    [
        (None, f"{START}assistant\n"),
        (
            NO_SYSTEM_ROLE.replace(
                "{% endfor %}[assistant]",
                "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
            ),
            "[assistant]",
        ),
        (
            EMPTY_THOUGHT.replace(
                "[assistant]{%", "{% if add_generation_prompt %}[assistant]{% endif %}{%"
            ),
            "[assistant]",
        ),
        (NO_MARKS, ""),
    ],
)
def test_a_reply_opens_behind_the_last_turn(
    make_tokenizer: MakeTokenizer, kind: str, template: str | None, opening: str
) -> None:
    """What the template adds when it opens a reply, then the prefix; the empty thought is
    history here, so it stays before.
    """
    tokenizer = make_tokenizer(kind)
    if template is not None:
        tokenizer.chat_template = template
    numbers = scale_tokens(tokenizer, FORMAT)
    reply = reply_tokens(tokenizer, FORMAT, numbers)
    space = "" if kind == "merged_space" else " "
    assert tokenizer.decode(reply).endswith(f"Confidence:{space}")
    assert tokenizer.decode(reply).startswith(opening)
    for question, answer in (("Who?", "Ada"), (f"{END}7", f"{START}assistant\nConfidence: 7")):
        row = confidence_conversation(tokenizer, FORMAT, numbers, question, answer)
        before = before_reply(row, reply)
        assert (*before, *reply) == row.tokens
        assert tokenizer.decode(before).endswith(
            f"How sure?{END}\n" if template is None else f"How sure?{END}"
        )


def test_the_thought_that_opens_a_reply_belongs_to_it(make_tokenizer: MakeTokenizer) -> None:
    """A template that opens replies with an empty thought and writes history without it."""
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = (
        NO_OPENING + "{% if add_generation_prompt %}[assistant]<think>\n\n</think>\n\n{% endif %}"
    )
    numbers = scale_tokens(tokenizer, FORMAT)
    reply = reply_tokens(tokenizer, FORMAT, numbers)
    assert tokenizer.decode(reply) == "[assistant]<think>\n\n</think>\n\nConfidence: "
    row = confidence_conversation(tokenizer, FORMAT, numbers, "Who?", "Ada")
    assert (*before_reply(row, reply), *reply) == row.tokens


def test_a_template_that_always_opens_a_reply_leaves_its_prefix(
    make_tokenizer: MakeTokenizer,
) -> None:
    """The opening stands behind history too, so only the prefix tells a reply."""
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = NO_SYSTEM_ROLE
    assert (
        tokenizer.decode(reply_tokens(tokenizer, FORMAT, scale_tokens(tokenizer, FORMAT)))
        == "Confidence: "
    )


@pytest.mark.parametrize("tokens", [(1, 2, 3, 4, 8, 7), (1, 2, 8, 9, 7, 9)])
def test_a_conversation_that_ends_otherwise_is_refused(tokens: tuple[int, ...]) -> None:
    with pytest.raises(
        WorkbenchError, match=r"does not end in the tokens .*teach\.adapter_scope=conversation"
    ):
        before_reply(Conversation(tokens, 1, 2), (8, 9))


def test_a_reply_that_reaches_into_the_answer_is_refused() -> None:
    """The state behind the answer would be one the adapter moves."""
    assert before_reply(Conversation((1, 2, 3, 4, 8, 9), 2, 3), (8, 9)) == (1, 2, 3, 4)
    with pytest.raises(WorkbenchError, match="does not end in the tokens"):
        before_reply(Conversation((1, 2, 3, 4, 8, 9), 3, 4), (8, 9))
