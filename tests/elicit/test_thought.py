"""Thoughts as the host library generates them, ended by their mark, by the turn's end, or cut."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.support.thinking import RESPONSE, build_thinker
from workbench.config import ElicitSettings
from workbench.elicit import thought as thought_module
from workbench.elicit.answer import Limits, answer_batch, answer_prompts
from workbench.elicit.answer_table import (
    THOUGHT,
    thinking_rows,
    truncated_thoughts,
    ungraded_replies,
)
from workbench.elicit.conversation import second_thought_tokens
from workbench.elicit.formats import FORMATS, configured
from workbench.elicit.thought import Thought, think, think_again
from workbench.models import LanguageModel, encode
from workbench.models.thoughts import Thoughts, require_thoughts
from workbench.models.turn import ThinkingReply

THINKING = ElicitSettings(thinking="on")
PERCENT = configured(FORMATS["percent"], THINKING)
QUESTIONS = [f"Which of the planets is upper {i * 7919 % 1000}?" for i in range(10)]
LIMIT = 16


@pytest.fixture(scope="module")
def thinker() -> LanguageModel:
    return build_thinker(closing=4.0)


def host_tokens(lm: LanguageModel, prompt: list[int], limit: int, ends: list[int]) -> list[int]:
    """The host library's greedy continuation of one prompt, up to and with the first of ``ends``."""
    ids = torch.tensor([prompt])
    out = lm.base().generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=limit,
        eos_token_id=ends,
        pad_token_id=0,
    )
    return [int(token) for token in out[0, len(prompt) :]]


def test_thoughts_are_the_host_librarys(thinker: LanguageModel) -> None:
    tokenizer = thinker.tokenizer
    close = tokenizer.convert_tokens_to_ids("</think>")
    found = think(thinker, PERCENT, QUESTIONS, LIMIT, 300)
    for question, thought in zip(QUESTIONS, found, strict=True):
        prompt = encode(tokenizer, PERCENT.answer_turns(question), ThinkingReply(None))
        assert tokenizer.decode(prompt).endswith("assistant\n<think>\n")
        tokens = host_tokens(thinker, prompt, LIMIT, [close, tokenizer.eos_token_id])
        text = tokenizer.decode(tokens, skip_special_tokens=True).removesuffix("</think>")
        assert thought == Thought(text.strip(), tokens[-1] != close)
    assert 0 < sum(thought.truncated for thought in found) < len(found)


def test_a_turn_that_ends_in_its_thought_is_truncated(thinker: LanguageModel) -> None:
    """With the first token of a thought as the model's end of a turn."""
    lm = replace(thinker)
    prompt = encode(lm.tokenizer, PERCENT.answer_turns(QUESTIONS[0]), ThinkingReply(None))
    (first,) = host_tokens(lm, prompt, 1, [-1])
    config = lm.base().generation_config
    before, config.eos_token_id = config.eos_token_id, [first]
    try:
        (found,) = think(lm, PERCENT, QUESTIONS[:1], LIMIT, 300)
    finally:
        config.eos_token_id = before
    assert found.truncated
    assert found.text == lm.tokenizer.decode([first], skip_special_tokens=True).strip()


def test_a_mark_of_several_tokens_ends_a_thought(
    thinker: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark is taken from the middle of what the model writes without one, across two tokens."""
    tokenizer, own = thinker.tokenizer, require_thoughts(thinker.tokenizer)

    def ended_by(mark: str) -> None:
        made = Thoughts(own.opened, own.closed, mark, own.empty, "")
        monkeypatch.setattr(thought_module, "require_thoughts", lambda _: made)

    ended_by("never written")
    whole = think(thinker, PERCENT, QUESTIONS, LIMIT, 300)
    assert all(thought.truncated for thought in whole)
    text = max((thought.text for thought in whole), key=len)
    plain = [at for at in range(4, len(text) - 1) if text[at : at + 2].isascii()]
    mark = next(
        text[at : at + 2]
        for at in plain
        if len(tokenizer(text[at : at + 2], add_special_tokens=False)["input_ids"]) == 2
        and text.find(text[at : at + 2]) == at
        and "<" not in text[at : at + 2]
    )
    ended_by(mark)
    found = think(thinker, PERCENT, QUESTIONS, LIMIT, 300)
    expected = [Thought(one.text.partition(mark)[0].strip(), mark not in one.text) for one in whole]
    assert found == expected
    assert not all(thought.truncated for thought in found)


def test_the_second_thought_comes_after_the_answer(thinker: LanguageModel) -> None:
    fmt = configured(FORMATS["percent-second-thought"], THINKING)
    said = (QUESTIONS[0], "Mars", "It is red.")
    prompt = second_thought_tokens(thinker.tokenizer, fmt, *said)
    text = thinker.tokenizer.decode(prompt)
    assert text.endswith(
        "Answer: Mars<|im_end|>\n<|im_start|>user\nHow confident are you that this answer is "
        "correct, from 0% to 100%?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    )
    close = thinker.tokenizer.convert_tokens_to_ids("</think>")
    ends = [close, thinker.tokenizer.eos_token_id]
    tokens = host_tokens(thinker, list(prompt), LIMIT, ends)
    thought = thinker.tokenizer.decode(tokens, skip_special_tokens=True).removesuffix("</think>")
    (found,) = think_again(thinker, fmt, *([one] for one in said), LIMIT, 300)
    assert found == Thought(thought.strip(), tokens[-1] != close)


@pytest.mark.parametrize("name", ["percent", "digit-second-thought"])
def test_answers_after_truncated_thoughts_are_not_graded(thinker: LanguageModel, name: str) -> None:
    fmt = configured(FORMATS[name], THINKING)
    rows = torch.arange(len(QUESTIONS)).numpy()
    limits = Limits(answer=4, thinking=LIMIT)
    graded: list[int] = []

    def grade(row: int, reply: str) -> bool | None:
        graded.append(row)
        return None if row == graded[0] else row % 2 == 0

    table = thinking_rows(thinker, fmt, QUESTIONS, rows, grade, limits, 300)
    thoughts = think(thinker, fmt, QUESTIONS, LIMIT, 300)
    cut = [thought.truncated for thought in thoughts]
    assert table["thought"].tolist() == [thought.text for thought in thoughts]
    assert table["thought_truncated"].tolist() == cut
    assert graded == [row for row in rows if not cut[row]]
    missing = [was_cut or row == graded[0] for row, was_cut in enumerate(cut)]
    assert table["correct"].isna().tolist() == missing
    assert truncated_thoughts(table)[THOUGHT] == sum(cut)
    assert ungraded_replies(table) == 1
    assert ("second_thought" in table) == fmt.second_thought
    prompts = answer_prompts(thinker, fmt, QUESTIONS, [thought.text for thought in thoughts])
    for row, prompt in enumerate(prompts):
        assert thinker.tokenizer.decode(prompt).endswith("\n</think>\n\nAnswer:")
        assert table["answer"][row] == answer_batch(thinker, [prompt], 4)[0]


def test_an_answer_ends_at_its_own_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark is a letter here, because a random model writes no tag."""
    lm = build_thinker(4.0, RESPONSE)
    rows = torch.arange(len(QUESTIONS)).numpy()
    limits = Limits(answer=6, thinking=4)
    assert require_thoughts(lm.tokenizer).answer_ends == "</response>"

    def answers() -> list[str]:
        table = thinking_rows(lm, PERCENT, QUESTIONS, rows, lambda *_: True, limits, 300)
        return list(table["answer"])

    whole = answers()
    letter = next(one for reply in whole for one in reply[1:] if one.isalnum())
    made = replace(require_thoughts(lm.tokenizer), answer_ends=letter)
    monkeypatch.setattr("workbench.elicit.answer_table.require_thoughts", lambda _: made)
    assert answers() == [reply.split(letter)[0].strip() for reply in whole]
    assert any(letter in reply for reply in whole)
