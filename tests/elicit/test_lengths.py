from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.elicit.answer import Limits, answer_batch
from workbench.elicit.ask import ask_texts
from workbench.elicit.conversation import answer_tokens, confidence_conversation, scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.elicit.lengths import _longest, check_lengths, check_questions
from workbench.elicit.pairs import ask_pairs
from workbench.elicit.readout import read_confidence, stated_tokens
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.room import room_of

MakeTiny = Callable[..., LanguageModel]
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [2.0] * 4,
}
LIMITS = Limits(6, 4)


@pytest.mark.parametrize(
    ("family", "changes", "most"),
    [
        ("llama", {"max_position_embeddings": 700}, 700),
        ("gpt2", {"max_position_embeddings": 700}, 700),
        ("phi3", {"max_position_embeddings": 4000, "original_max_position_embeddings": 700, "rope_parameters": LONGROPE}, 700),
        (
            "llama",
            {"max_position_embeddings": 700, "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}},
            700,
        ),
        ("llama", {"max_position_embeddings": 700, "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}}, 700),
    ],
)  # fmt: skip
def test_the_room_a_model_has(
    make_tiny: MakeTiny, family: str, changes: dict[str, Any], most: int
) -> None:
    """A question that fills the room to its last token is asked; with one token more nothing is."""
    lm = make_tiny(family, **changes)
    assert room_of(lm).most == most
    fmt = FORMATS["percent"]
    numbers = scale_tokens(lm.tokenizer, fmt)
    fixed = _longest(lm, fmt, numbers, "", LIMITS)
    filled = "x" * (most - fixed)
    assert _longest(lm, fmt, numbers, filled, LIMITS) == most
    check_questions(lm, fmt, ["Who?", filled], ["a", "b"], LIMITS, 2048)
    with pytest.raises(
        WorkbenchError, match=rf"^b takes {most + 1} tokens and the model .* reads at most {most}, "
    ):
        check_questions(lm, fmt, ["Who?", filled + "x"], ["a", "b"], LIMITS, 2048)


@pytest.mark.parametrize(
    "name",
    [
        "percent",
        "percent-one-turn",
        "percent-first",
        "percent-alone",
        "percent-reasoned",
        "hundred-review-own",
    ],
)
def test_no_conversation_is_longer_than_what_was_counted(make_tiny: MakeTiny, name: str) -> None:
    lm, fmt = make_tiny(), FORMATS[name]
    numbers = scale_tokens(lm.tokenizer, fmt)
    counted = _longest(lm, fmt, numbers, "Which river?", LIMITS)
    reasoning = "abc " if fmt.reasoning_prefix else ""
    answer = answer_tokens(lm.tokenizer, fmt, "Which river?", reasoning=reasoning, stated="100")
    read = confidence_conversation(lm.tokenizer, fmt, numbers, "Which river?", "Rhein", reasoning)
    assert len(answer) + LIMITS.answer <= counted
    assert len(read.tokens) + stated_tokens(numbers) <= counted


def test_a_question_too_long_is_named_before_anything_is_asked(
    make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = make_tiny()
    monkeypatch.setattr(
        lm.base().model, "forward", lambda *_a, **_k: pytest.fail("the model was asked")
    )
    questions = [
        "Who?",
        "Which of them is it, " + "very " * 300 + "truly?",
        "How " + "very " * 200 + "?",
    ]
    message = r"^question 2 \('Which of them is it, very.*'\) \(and 1 more\) takes \d+ tokens and the model 'tiny-llama' reads at most 512"
    with pytest.raises(WorkbenchError, match=message):
        ask_texts(lm, questions, FORMATS["percent"], limits=LIMITS)
    with pytest.raises(
        WorkbenchError, match=r"^conversation 1 \(and 1 more\) takes \d+ tokens and the model"
    ):
        ask_pairs(lm, questions, [(0, 1)])


def test_one_row_does_not_break_the_memory_bound(make_tiny: MakeTiny) -> None:
    lm = make_tiny(max_position_embeddings=100_000)
    check_lengths(lm, [5, 2048], ["a", "b"], 64)
    check_lengths(lm, [5, 3000], ["a", "b"], 3000)
    with pytest.raises(
        WorkbenchError,
        match=r"^b takes 3000 tokens and a pass holds at most 2048.*tokens_per_forward.* to 3000",
    ):
        check_lengths(lm, [5, 3000], ["a", "b"], 64)
    check_lengths(lm, [], [], 64)


def test_a_pass_beyond_the_room_is_refused_wherever_it_comes_from(make_tiny: MakeTiny) -> None:
    lm = make_tiny(max_position_embeddings=16)
    answer_batch(lm, [list(range(5, 15))], 2)
    with pytest.raises(
        WorkbenchError, match="takes 17 tokens and the model 'tiny-llama' reads at most 16"
    ):
        answer_batch(lm, [list(range(5, 22))], 2)
    with pytest.raises(WorkbenchError, match="takes 17 tokens"):
        answer_batch(lm, [list(range(5, 22)), list(range(5, 15))], 2)


@pytest.mark.parametrize("place", ["model.layers.1.mlp.up_proj.weight", "lm_head.weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_an_error_naming_model_and_weights(
    make_tiny: MakeTiny, place: str, value: float
) -> None:
    lm, fmt = make_tiny(), FORMATS["percent"]
    numbers = scale_tokens(lm.tokenizer, fmt)
    read = [confidence_conversation(lm.tokenizer, fmt, numbers, "Who?", "Ada")]
    with torch.no_grad():
        lm.base().get_parameter(place)[:] = value
    with pytest.raises(
        WorkbenchError, match=rf"'tiny-llama' computes NaN or infinity, because its weights {place}"
    ):
        read_confidence(lm, read, numbers)
    if place != "lm_head.weight":
        with pytest.raises(WorkbenchError, match="computes NaN or infinity"):
            ask_texts(lm, ["Who?", "What?"], fmt, limits=LIMITS)
