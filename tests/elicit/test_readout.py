from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from workbench.elicit.conversation import POSITIONS, Conversation, NumberPrefix, confidence_conversation, number_prefix
from workbench.elicit.formats import format_named
from workbench.elicit.greedy import stop_after_number
from workbench.elicit.parse import parse_confidence
from workbench.elicit.readout import (
    STATED_TOKENS,
    expected_confidence,
    mass_on_scale,
    read_confidence,
)
from workbench.models import LanguageModel
from workbench.trace.hooks import on_outputs

MakeTiny = Callable[..., LanguageModel]
QUESTIONS = (("Who?", "Ada"), ("What is 48 + 37?", "85"), ("In which country is Lyon, and since when?", "France"))
KINDS = ("digits", "whole_numbers", "merged_space")
FAMILIES = [
    ("llama", {}),
    ("mistral", {"sliding_window": 24}),
    ("gemma3_text", {"sliding_window": 24, "layer_types": ["sliding_attention", "full_attention"] * 2}),
    ("gpt2", {}),
]


def rows_of(lm: LanguageModel) -> tuple[list[Conversation], NumberPrefix]:
    fmt = format_named("percent")
    numbers = number_prefix(lm.tokenizer, fmt)
    return [confidence_conversation(lm.tokenizer, fmt, numbers, q, a) for q, a in QUESTIONS], numbers


def speak_numbers(lm: LanguageModel) -> None:
    """Make the head's other rows zero, so that the model says digits and percent signs."""
    said = [
        t for t in range(len(lm.tokenizer)) if lm.tokenizer.decode([t]).strip() in {*map(str, range(101)), ".", "%"}
    ]
    mute = torch.ones(384, dtype=torch.bool)
    mute[said] = False
    with torch.no_grad():
        lm.base().lm_head.weight[mute] = 0


def test_mass_and_expected_confidence_by_hand() -> None:
    table = np.array([[0.1, 0.3, 0.0], [0.2, 0.2, 0.2]])
    assert mass_on_scale(table) == pytest.approx([0.4, 0.6])
    assert expected_confidence(table, (0, 5, 10), 10) == pytest.approx([0.15 / 0.4, 0.5])
    assert expected_confidence(table[None], (0, 5, 10), 20) == pytest.approx(np.array([[0.075 / 0.4, 0.25]]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_stated_text_is_what_the_model_writes_next(make_tiny: MakeTiny, kind: str) -> None:
    lm = make_tiny("llama", tokenizer=kind)
    speak_numbers(lm)
    rows, numbers = rows_of(lm)
    reading = read_confidence(lm, rows, numbers, 100)
    stop = stop_after_number(lm)
    for row, text, stated in zip(rows, reading.stated_text, reading.stated, strict=True):
        ids = torch.tensor([row.tokens])
        written = (
            lm.base()
            .generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=STATED_TOKENS, pad_token_id=0
            )[0, len(row.tokens) :]
            .tolist()
        )
        written = written[: next((i + 1 for i, t in enumerate(written) if stop[t]), len(written))]
        assert text == lm.tokenizer.decode(written, skip_special_tokens=True)
        np.testing.assert_equal(stated, parse_confidence(text, 100))
    assert any(c.isdigit() for c in "".join(reading.stated_text))


def test_a_rigged_model_states_its_number(tiny_lm: LanguageModel) -> None:
    """A model without memory that writes 7 behind a space, 3 behind 7 and % behind 3 says 73 %."""
    rows, numbers = rows_of(tiny_lm)
    token = {c: tiny_lm.tokenizer(c)["input_ids"][0] for c in " 73%"}
    with torch.no_grad():
        for layer in tiny_lm.base().model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        tiny_lm.embedding().weight.zero_()
        tiny_lm.base().lm_head.weight.zero_()
        for place, (now, then) in enumerate([(" ", "7"), ("7", "3"), ("3", "%")]):
            tiny_lm.embedding().weight[token[now], place] = 1.0
            tiny_lm.base().lm_head.weight[token[then], place] = 10.0
    reading = read_confidence(tiny_lm, rows, numbers, 100)
    assert reading.stated_text == ("73%",) * 3
    assert reading.stated.tolist() == [0.73] * 3
    assert reading.states is None
    assert reading.distribution.argmax(axis=1).tolist() == [73] * 3
    assert expected_confidence(reading.distribution, range(101), 100) == pytest.approx(0.73, abs=1e-6)
    # The norm makes the one nonzero entry of a state sqrt(32): a step's odds are exp(10 sqrt(32)) to 383 others.
    assert mass_on_scale(reading.distribution) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("family", "overrides"), FAMILIES)
def test_recorded_states_are_the_models_own(make_tiny: MakeTiny, family: str, overrides: dict[str, object]) -> None:
    """Behind each layer, at each named place of each row; the last layer before the final norm."""
    lm = make_tiny(family, **overrides)
    rows, numbers = rows_of(lm)
    states = read_confidence(lm, rows, numbers, 100, record=POSITIONS).states
    assert states is not None
    assert states.shape == (3, 4, 3, 32)
    last: list[torch.Tensor] = []

    def keep(hidden: torch.Tensor) -> torch.Tensor:
        last.append(hidden.clone())
        return hidden

    for row, conversation in enumerate(rows):
        places = [conversation.confidence, conversation.answer_end, conversation.after_answer]
        with torch.no_grad(), on_outputs(lm, {3: keep}):
            own = lm.base()(input_ids=torch.tensor([conversation.tokens]), output_hidden_states=True).hidden_states
        for layer in range(3):
            assert states[row, layer] == pytest.approx(own[layer + 1][0, places].numpy(), abs=1e-5)
        assert states[row, 3] == pytest.approx(last[row][0, places].numpy(), abs=1e-5)
        assert np.abs(states[row, 3] - own[4][0, places].numpy()).max() > 1e-3


@pytest.mark.parametrize(("family", "overrides"), FAMILIES)
def test_rows_of_a_batch_read_as_they_do_alone(make_tiny: MakeTiny, family: str, overrides: dict[str, object]) -> None:
    lm = make_tiny(family, **overrides)
    rows, numbers = rows_of(lm)
    assert len({len(row.tokens) for row in rows}) == 3
    batch = read_confidence(lm, rows, numbers, 100, record=("confidence", "answer_end"))
    for row, conversation in enumerate(rows):
        alone = read_confidence(lm, [conversation], numbers, 100, record=("confidence", "answer_end"))
        assert batch.distribution[row] == pytest.approx(alone.distribution[0], rel=1e-5)
        assert batch.stated_text[row] == alone.stated_text[0]
        np.testing.assert_equal(batch.stated[row], alone.stated[0])
        assert batch.states is not None
        assert alone.states is not None
        assert batch.states[row] == pytest.approx(alone.states[0], abs=1e-5)
