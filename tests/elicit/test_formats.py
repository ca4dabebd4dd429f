from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from workbench.elicit.conversation import (
    Conversation,
    ScaleTokens,
    answer_tokens,
    check_conversation,
    confidence_conversation,
    number_tokens,
    pair_conversation,
    scale_tokens,
    show_position,
)
from workbench.elicit.format import Format
from workbench.elicit.formats import FORMATS, described, format_named
from workbench.elicit.readout import expected_confidence, mass_on_scale, read_confidence
from workbench.elicit.reply_tokens import reply_tokens
from workbench.elicit.scales import PERCENT
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, Turn, render

KINDS = ("digits", "whole_numbers", "merged_space")
QUESTION, ANSWER, REASONING = "Which?\nA. Red\nB. Blue", "48 + 37. 7", "It is so.\nAnd so."
NO_SYSTEM_ROLE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ "
    "raise_exception('no') }}"
    "{% endif %}{{ '[' + message['role'] + ']' + message['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
rows = pytest.mark.parametrize("name", FORMATS)
kinds = pytest.mark.parametrize("kind", KINDS)


def texts_of(fmt: Format) -> tuple[str, str, str]:
    """Question, answer and reasoning; of a pair its two questions."""
    return (QUESTION, "Who?", "") if fmt.layout == "pair" else (QUESTION, ANSWER, REASONING)


def conversation_of(tokenizer: Any, fmt: Format, numbers: ScaleTokens) -> Conversation:
    question, other, reasoning = texts_of(fmt)
    if fmt.layout == "pair":
        return pair_conversation(tokenizer, fmt, numbers, question, other)
    return confidence_conversation(tokenizer, fmt, numbers, question, other, reasoning)


def written(tokenizer: Any, fmt: Format) -> str:
    """The conversation as text, up to the separator."""
    question, other, reasoning = texts_of(fmt)
    if fmt.layout == "pair":
        return render(tokenizer, fmt.pair_turns(question, other), fmt.confidence_prefix)
    turns, opening = (
        fmt.confidence_turns(question, other, reasoning),
        fmt.confidence_opening(other, reasoning),
    )
    return render(tokenizer, turns, opening)


def test_the_percent_row_is_what_it_always_was(make_tokenizer: Callable[[str], Any]) -> None:
    """Results of finished runs stand on these strings."""
    fmt, tokenizer = FORMATS["percent"], make_tokenizer("digits")
    assert fmt == Format(
        name="percent",
        system="Answer with only the answer.",
        answer_prefix="Answer:",
        confidence_question="How confident are you that this answer is correct, from 0% to 100%?",
        confidence_prefix="Confidence:",
        separator=" ",
        ending="%",
        scale=PERCENT,
    )
    opening = (
        "<|im_start|>system\nAnswer with only the "
        "answer.<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n"
        "<|im_start|>assistant\nAnswer:"
    )
    asked = (
        f"{opening} Ada<|im_end|>\n<|im_start|>user\nHow confident are you that this answer is "
        "correct, from 0% to 100%?"
        "<|im_end|>\n<|im_start|>assistant\nConfidence: "
    )
    numbers = scale_tokens(tokenizer, fmt)
    assert tokenizer.decode(answer_tokens(tokenizer, fmt, "Who?")) == opening
    row = confidence_conversation(tokenizer, fmt, numbers, "Who?", "Ada")
    assert tokenizer.decode(row.tokens) == asked
    assert list(row.tokens) == tokenizer(asked, add_special_tokens=False)["input_ids"]


def test_formats_are_found_by_name() -> None:
    assert all(format_named(name).name == name for name in FORMATS)
    with pytest.raises(
        WorkbenchError, match=r"Unknown elicitation format 'prcent'; choose one of .*percent"
    ):
        format_named("prcent")


def test_every_layout_scale_and_ingredient_has_a_row() -> None:
    assert {row.layout for row in FORMATS.values()} == {
        "two-turn", "one-turn", "confidence-first", "question-alone", "review", "pair",
    }  # fmt: skip
    assert len(FORMATS) == len({row.name for row in FORMATS.values()})
    assert any(row.reasoning_prefix for row in FORMATS.values())
    assert (
        len([name for name in FORMATS if re.match("(hundred|words)-review-(own|third)", name)]) == 8
    )


def test_formats_are_described() -> None:
    assert described(FORMATS["percent"]) == "two-turn; 0 ... 100"
    assert described(FORMATS["digit-reasoned"]) == "one-turn; 0 ... 9; reasoning first"
    assert described(FORMATS["yes-no-alone"]) == "question-alone; No, Yes"
    assert described(FORMATS["words-review-third-no-options"]) == (
        "review; Very uncertain ... Very certain; of another model's answer; options not shown"
    )


@rows
@kinds
@pytest.mark.parametrize("template", [None, NO_SYSTEM_ROLE])
def test_the_whole_string_is_conversation_and_path(
    make_tokenizer: Callable[[str], Any], name: str, kind: str, template: str | None
) -> None:
    """Every text of the scale, on every kind of tokenizer, with and without a system role in the
    chat template.
    """
    tokenizer, fmt = make_tokenizer(kind), FORMATS[name]
    tokenizer.chat_template = template or tokenizer.chat_template
    numbers = scale_tokens(tokenizer, fmt)
    row, text = conversation_of(tokenizer, fmt, numbers), written(tokenizer, fmt)
    check_conversation(tokenizer, fmt, numbers, *texts_of(fmt))
    for value, said in zip(fmt.scale.values, fmt.scale.texts, strict=True):
        whole = tokenizer(f"{text}{fmt.separator}{said}", add_special_tokens=False)["input_ids"]
        assert [*row.tokens, *number_tokens(numbers, value)] == whole
    if template is None:
        marked = show_position(tokenizer, row.tokens, row.confidence)
        assert marked.endswith("»")
        assert marked.replace("«", "").removesuffix("»") in (
            text,
            f"{text} ",
            f"{text} {numbers.said}",
        )
    elif fmt.layout in ("two-turn", "one-turn", "confidence-first"):
        assert f"[user]{fmt.system}\n\n{QUESTION}" in text


@rows
@kinds
def test_the_answer_is_located_where_it_stands(
    make_tokenizer: Callable[[str], Any], name: str, kind: str
) -> None:
    tokenizer, fmt = make_tokenizer(kind), FORMATS[name]
    row = conversation_of(tokenizer, fmt, scale_tokens(tokenizer, fmt))
    if not fmt.shows_answer:
        for position in ("answer_end", "after_answer"):
            with pytest.raises(WorkbenchError, match="without the answer"):
                row.position(position)
        assert ANSWER not in tokenizer.decode(row.tokens)
        return
    until = tokenizer.decode(row.tokens[: row.position("answer_end") + 1])
    assert until.endswith(f" {ANSWER}")
    assert tokenizer.decode(row.tokens[row.position("after_answer")]) in ("<|im_end|>", "\n")
    assert until.count(ANSWER) == 1
    assert (REASONING in until) == bool(fmt.reasoning_prefix)


@rows
@kinds
def test_an_adapter_on_the_reply_reaches_no_answer(
    make_tokenizer: Callable[[str], Any], name: str, kind: str
) -> None:
    tokenizer, fmt = make_tokenizer(kind), FORMATS[name]
    if not fmt.shows_answer:
        return
    numbers = scale_tokens(tokenizer, fmt)
    reply = reply_tokens(tokenizer, fmt, numbers)
    row = conversation_of(tokenizer, fmt, numbers)
    assert row.tokens[-len(reply) :] == reply
    assert len(row.tokens) - len(reply) > row.position("after_answer")
    assert tokenizer.decode(reply).rstrip().endswith(fmt.confidence_prefix)


def scored_alone(
    lm: LanguageModel, tokens: Sequence[int], paths: Sequence[Sequence[int]]
) -> np.ndarray:
    """[texts]: each text scored as a string of its own, ended where no longer text of the scale
    goes on.
    """
    out = np.empty(len(paths))
    for size in {len(path) for path in paths}:
        places = [place for place, path in enumerate(paths) if len(path) == size]
        with torch.no_grad():
            ids = torch.tensor([[*tokens, *paths[place]] for place in places])
            logits = lm.base()(input_ids=ids, logits_to_keep=size + 1).logits
        for place, steps in zip(places, logits.double().softmax(dim=-1), strict=True):
            path = tuple(paths[place])
            said = [float(steps[depth, token]) for depth, token in enumerate(path)]
            longer = {
                other[size] for other in paths if len(other) > size and tuple(other[:size]) == path
            }
            out[place] = np.prod(said) * (1 - float(steps[-1, sorted(longer)].sum()))
    return out


@rows
@kinds
def test_the_trie_equals_scoring_every_string(
    make_tiny: Callable[..., LanguageModel], name: str, kind: str
) -> None:
    """In float32. The head favours what the scale is written with, so that its mass is far from
    nothing.
    """
    lm, fmt = make_tiny("llama", tokenizer=kind, num_hidden_layers=2), FORMATS[name]
    numbers = scale_tokens(lm.tokenizer, fmt)
    paths = [number_tokens(numbers, value) for value in fmt.scale.values]
    with torch.no_grad():
        lm.head().weight[sorted({token for path in paths for token in path})] *= 2.0
    row = conversation_of(lm.tokenizer, fmt, numbers)
    reading = read_confidence(lm, [row], numbers)
    expected = scored_alone(lm, row.tokens, paths)
    assert reading.distribution[0] == pytest.approx(expected, abs=1e-6)
    assert mass_on_scale(reading.distribution)[0] == pytest.approx(expected.sum(), abs=1e-6)
    mean = (expected * fmt.scale.shares).sum() / expected.sum()
    found = expected_confidence(reading.distribution, fmt.scale.values, fmt.scale.certain)
    assert found[0] == pytest.approx(mean, abs=1e-4)


def test_an_empty_answer_leaves_the_prefix_and_an_empty_prefix_the_answer() -> None:
    bare = Format("bare", "", "", "How sure?", "I am", " ", "%", PERCENT)
    assert bare.answer_text("Ada") == "Ada"
    assert bare.answer_turns("Who?") == (Turn("user", "Who?"),)
    assert FORMATS["percent"].answer_text("") == "Answer:"
