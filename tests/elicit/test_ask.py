from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.elicit.answer import Limits, first_line
from workbench.elicit.ask import ask_texts
from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.format import Format
from workbench.elicit.formats import FORMATS
from workbench.elicit.parse import parse_confidence
from workbench.elicit.readout import read_confidence
from workbench.elicit.scales import Scale
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, render
from workbench.progress import reporting

QUESTIONS = [
    "Who?",
    "What is 48 + 37?",
    "In which country is the city of Lyon, and since when?",
    "Why is it so?",
    "7?",
]
LIMITS = Limits(answer=5, reasoning=7)
MakeTiny = Callable[..., LanguageModel]


def spoken(lm: LanguageModel, text: str, limit: int) -> str:
    """The host library's greedy continuation of a text."""
    ids = torch.tensor([lm.tokenizer(text, add_special_tokens=False)["input_ids"]])
    out = lm.base().generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=limit,
        pad_token_id=0,
    )
    return str(lm.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


@pytest.mark.parametrize(
    "name", ["percent", "ten-one-turn", "words-review-third", "percent-alone", "percent-reasoned"]
)
def test_the_table_is_what_each_question_gives_alone(make_tiny: MakeTiny, name: str) -> None:
    """Answers by the host library from the rendered text; confidence by a reading of one
    conversation at a time.
    """
    lm, fmt = make_tiny("llama"), FORMATS[name]
    table = ask_texts(lm, QUESTIONS, fmt, limits=LIMITS, tokens_per_forward=400).table
    numbers = scale_tokens(lm.tokenizer, fmt)
    assert list(table["row"]) == list(range(len(QUESTIONS)))
    assert ("reasoning" in table) == bool(fmt.reasoning_prefix)
    for row, question in enumerate(QUESTIONS):
        turns, reasoning = fmt.answer_turns(question), ""
        if fmt.reasoning_prefix:
            reasoning = spoken(
                lm, render(lm.tokenizer, turns, fmt.reasoning_prefix), LIMITS.reasoning
            ).strip()
            assert table["reasoning"][row] == reasoning
        answer = first_line(
            spoken(lm, render(lm.tokenizer, turns, fmt.answer_opening(reasoning)), LIMITS.answer)
        )
        assert table["answer"][row] == answer
        conversation = confidence_conversation(
            lm.tokenizer, fmt, numbers, question, answer, reasoning
        )
        reading = read_confidence(lm, [conversation], numbers)
        shares = np.asarray(fmt.scale.shares)
        assert table["stated_text"][row] == reading.stated_text[0]
        np.testing.assert_equal(
            table["stated"][row], parse_confidence(reading.stated_text[0], fmt.scale)
        )
        assert table["mass"][row] == pytest.approx(reading.distribution.sum(), rel=1e-5)
        mean = (reading.distribution[0] * shares).sum() / reading.distribution.sum()
        assert table["expected"][row] == pytest.approx(mean, abs=1e-5)
        assert table["mode"][row] == shares[reading.distribution[0].argmax()]


def test_confidence_first_answers_behind_what_it_states(make_tiny: MakeTiny) -> None:
    lm, fmt = make_tiny("llama"), FORMATS["percent-first"]
    table = ask_texts(lm, QUESTIONS, fmt, limits=LIMITS).table
    for row, question in enumerate(QUESTIONS):
        stated = round(100 * table["mode"][row])
        text = render(lm.tokenizer, fmt.answer_turns(question), f"Confidence: {stated}%\nAnswer:")
        assert table["answer"][row] == first_line(spoken(lm, text, LIMITS.answer))


def test_reasoning_ends_where_the_model_opens_its_answer(make_tiny: MakeTiny) -> None:
    """A model without memory that writes a line break, "Answer", ":" and so on behind anything."""
    lm = make_tiny("llama")
    steps = [(":", "a"), ("a", "\n"), ("\n", "Answer"), ("Answer", ":")]
    token = {piece: lm.tokenizer(piece)["input_ids"][0] for pair in steps for piece in pair}
    with torch.no_grad():
        for layer in lm.base().model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        lm.embedding().weight.zero_()
        lm.head().weight.zero_()
        for place, (now, then) in enumerate(steps):
            lm.embedding().weight[token[now], place] = 1.0
            lm.head().weight[token[then], place] = 10.0
    table = ask_texts(lm, QUESTIONS[:2], FORMATS["percent-reasoned"], limits=Limits(4, 12)).table
    assert list(table["reasoning"]) == ["a", "a"]
    assert list(table["answer"]) == ["a", "a"]


def test_progress_is_reported(make_tiny: MakeTiny) -> None:
    class Reporter:
        def __init__(self) -> None:
            self.seen: list[tuple[str, float | None]] = []

        def start(self, description: str, total: float | None) -> int:
            self.seen.append((description, total))
            return 0

        def advance(self, task: int, amount: float) -> None: ...

        def finish(self, task: int) -> None: ...

    reporter = Reporter()
    with reporting(reporter):
        ask_texts(
            make_tiny("llama"),
            QUESTIONS,
            FORMATS["percent-reasoned"],
            limits=Limits(2, 2),
            tokens_per_forward=4000,
        )
    assert reporter.seen == [("answering", 1), ("reading confidence", 1)]


def test_what_cannot_be_asked_is_refused(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    with pytest.raises(WorkbenchError, match="use ask_pairs"):
        ask_texts(lm, QUESTIONS, FORMATS["pairwise"])
    with pytest.raises(WorkbenchError, match="no questions to ask"):
        ask_texts(lm, [], FORMATS["percent"])
    merging = replace(FORMATS["percent"], separator="", confidence_prefix="Sure: 1")
    with pytest.raises(WorkbenchError, match="merges the end of the confidence prefix"):
        ask_texts(make_tiny("llama", tokenizer="whole_numbers"), QUESTIONS, merging)


def test_a_row_of_ones_own_needs_no_code(make_tiny: MakeTiny) -> None:
    stars = Scale((1, 2, 3), 3, ("*", "**", "***"), "words")
    mine = Format("stars", "", "A:", "How many stars?", "Stars:", " ", "", stars)
    table = ask_texts(make_tiny("llama"), QUESTIONS, mine, limits=LIMITS).table
    assert set(table["mode"]) <= set(stars.shares)
    assert table["expected"].between(1 / 3, 1).all()
