from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import DynamicCache

from workbench.elicit.conversation import (
    POSITIONS,
    Conversation,
    ScaleTokens,
    confidence_conversation,
    scale_tokens,
)
from workbench.elicit.formats import format_named
from workbench.elicit.greedy import stop_after_number, stop_at_newline
from workbench.elicit.parse import parse_confidence
from workbench.elicit.readout import (
    STATED_TOKENS,
    ConfidenceReading,
    expected_confidence,
    mass_on_scale,
    read_confidence,
    read_reply,
    recompute_cache,
    stated_tokens,
)
from workbench.elicit.reply_tokens import before_reply, reply_tokens
from workbench.elicit.scales import PERCENT
from workbench.models import LanguageModel
from workbench.trace.forward import forward
from workbench.trace.hooks import on_outputs
from workbench.trace.layout import empty_tail, pad_prompts
from workbench.trace.prefix_cache import PrefixCache

MakeTiny = Callable[..., LanguageModel]
QUESTIONS = (
    ("Who?", "Ada"),
    ("What is 48 + 37?", "85"),
    ("In which country is Lyon, and since when?", "France"),
)
KINDS = ("digits", "whole_numbers", "merged_space")
FAMILIES = [
    ("llama", {}),
    ("mistral", {"sliding_window": 24}),
    (
        "gemma3_text",
        {"sliding_window": 24, "layer_types": ["sliding_attention", "full_attention"] * 2},
    ),
    ("gpt2", {}),
]


def rows_of(lm: LanguageModel) -> tuple[list[Conversation], ScaleTokens]:
    fmt = format_named("percent")
    numbers = scale_tokens(lm.tokenizer, fmt)
    return [
        confidence_conversation(lm.tokenizer, fmt, numbers, q, a) for q, a in QUESTIONS
    ], numbers


def speak_numbers(lm: LanguageModel) -> None:
    """Make the head's other rows zero, so that the model says digits and percent signs."""
    said = [
        t
        for t in range(len(lm.tokenizer))
        if lm.tokenizer.decode([t]).strip() in {*map(str, range(101)), ".", "%"}
    ]
    mute = torch.ones(384, dtype=torch.bool)
    mute[said] = False
    with torch.no_grad():
        lm.base().lm_head.weight[mute] = 0


def test_mass_and_expected_confidence_by_hand() -> None:
    table = np.array([[0.1, 0.3, 0.0], [0.2, 0.2, 0.2]])
    assert mass_on_scale(table) == pytest.approx([0.4, 0.6])
    assert expected_confidence(table, (0, 5, 10), 10) == pytest.approx([0.15 / 0.4, 0.5])
    assert expected_confidence(table[None], (0, 5, 10), 20) == pytest.approx(
        np.array([[0.075 / 0.4, 0.25]])
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_stated_text_is_what_the_model_writes_next(make_tiny: MakeTiny, kind: str) -> None:
    lm = make_tiny("llama", tokenizer=kind)
    speak_numbers(lm)
    rows, numbers = rows_of(lm)
    reading = read_confidence(lm, rows, numbers)
    stop = stop_after_number(lm)
    for row, text, stated in zip(rows, reading.stated_text, reading.stated, strict=True):
        ids = torch.tensor([row.tokens])
        written = (
            lm.base()
            .generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=STATED_TOKENS,
                pad_token_id=0,
            )[0, len(row.tokens) :]
            .tolist()
        )
        written = written[: next((i + 1 for i, t in enumerate(written) if stop[t]), len(written))]
        assert text == lm.tokenizer.decode(written, skip_special_tokens=True)
        np.testing.assert_equal(stated, parse_confidence(text, PERCENT))
    assert any(c.isdigit() for c in "".join(reading.stated_text))


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_generated_to_their_end(make_tiny: MakeTiny, kind: str) -> None:
    """Byte by byte "Moderately certain" has 18 tokens and white space; a percentage needs no
    more than it did.
    """
    lm = make_tiny("llama", tokenizer=kind)
    assert stated_tokens(scale_tokens(lm.tokenizer, format_named("percent"))) == STATED_TOKENS == 5
    fmt = format_named("words")
    numbers = scale_tokens(lm.tokenizer, fmt)
    row = confidence_conversation(lm.tokenizer, fmt, numbers, "Who?", "Ada")
    longest = len(lm.tokenizer(" Moderately certain.\n")["input_ids"]) - len(numbers.shared)
    assert stated_tokens(numbers) == longest
    ids = torch.tensor([row.tokens])
    written = lm.base().generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=longest,
        pad_token_id=0,
    )[0, len(row.tokens) :]
    stop = stop_at_newline(lm)[written]
    end = int(stop.int().argmax()) + 1 if bool(stop.any()) else longest
    (text,) = read_confidence(lm, [row], numbers).stated_text
    assert text == lm.tokenizer.decode(written[:end], skip_special_tokens=True)


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
    reading = read_confidence(tiny_lm, rows, numbers)
    assert reading.stated_text == ("73%",) * 3
    assert reading.stated.tolist() == [0.73] * 3
    assert reading.states is None
    assert reading.distribution.argmax(axis=1).tolist() == [73] * 3
    assert expected_confidence(reading.distribution, range(101), 100) == pytest.approx(
        0.73, abs=1e-6
    )
    # The norm makes the one nonzero entry of a state sqrt(32): a step's odds are exp(10 sqrt(32))
    # to 383 others.
    assert mass_on_scale(reading.distribution) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("family", "overrides"), FAMILIES)
def test_recorded_states_are_the_models_own(
    make_tiny: MakeTiny, family: str, overrides: dict[str, object]
) -> None:
    """Behind each layer, at each named place of each row; the last layer before the final norm."""
    lm = make_tiny(family, **overrides)
    rows, numbers = rows_of(lm)
    states = read_confidence(lm, rows, numbers, record=POSITIONS).states
    assert states is not None
    assert states.shape == (3, 4, 3, 32)
    last: list[torch.Tensor] = []

    def keep(hidden: torch.Tensor) -> torch.Tensor:
        last.append(hidden.clone())
        return hidden

    for row, conversation in enumerate(rows):
        places = [conversation.confidence, conversation.answer_end, conversation.after_answer]
        with torch.no_grad(), on_outputs(lm, {3: keep}):
            own = lm.base()(
                input_ids=torch.tensor([conversation.tokens]), output_hidden_states=True
            ).hidden_states
        for layer in range(3):
            assert states[row, layer] == pytest.approx(own[layer + 1][0, places].numpy(), abs=1e-5)
        assert states[row, 3] == pytest.approx(last[row][0, places].numpy(), abs=1e-5)
        assert np.abs(states[row, 3] - own[4][0, places].numpy()).max() > 1e-3


@pytest.mark.parametrize(("family", "overrides"), FAMILIES)
def test_rows_of_a_batch_read_as_they_do_alone(
    make_tiny: MakeTiny, family: str, overrides: dict[str, object]
) -> None:
    lm = make_tiny(family, **overrides)
    rows, numbers = rows_of(lm)
    assert len({len(row.tokens) for row in rows}) == 3
    batch = read_confidence(lm, rows, numbers, record=("confidence", "answer_end"))
    for row, conversation in enumerate(rows):
        alone = read_confidence(lm, [conversation], numbers, record=("confidence", "answer_end"))
        assert batch.distribution[row] == pytest.approx(alone.distribution[0], rel=1e-5)
        assert batch.stated_text[row] == alone.stated_text[0]
        np.testing.assert_equal(batch.stated[row], alone.stated[0])
        assert batch.states is not None
        assert alone.states is not None
        assert batch.states[row] == pytest.approx(alone.states[0], abs=1e-5)


@pytest.mark.parametrize(("family", "overrides"), FAMILIES)
def test_a_reading_goes_on_from_what_is_kept_of_its_conversations(
    make_tiny: MakeTiny, family: str, overrides: dict[str, object]
) -> None:
    """The same readouts, states, and keys and values for later stages, from beginnings of
    unequal length.
    """
    lm = make_tiny(family, **overrides)
    speak_numbers(lm)
    rows, numbers = rows_of(lm)
    begun = [row.tokens[: row.position("answer_end") - place] for place, row in enumerate(rows)]
    kept = PrefixCache(10**9, 100, None).kept(lm, np.arange(len(rows)), begun)
    left: list[PrefixCache] = [PrefixCache(10**9, 100, None) for _ in range(3)]
    keeps = [partial(store.keep, range(len(rows))) for store in left]
    whole = read_confidence(lm, rows, numbers, POSITIONS, keeps[0])
    found = read_confidence(lm, rows, numbers, POSITIONS, keeps[1], kept)
    recompute_cache(lm, rows, numbers, keeps[2], kept)
    assert found.distribution == pytest.approx(whole.distribution, abs=1e-6)
    assert found.stated_text == whole.stated_text
    assert found.states == pytest.approx(whole.states, abs=1e-5)
    caches = [
        store.kept(lm, np.arange(len(rows)), [row.tokens for row in rows]).cache.kept
        for store in left
    ]
    for layer, pairs in caches[0].items():
        for side in (0, 1):
            torch.testing.assert_close(caches[1][layer][side], pairs[side], rtol=1e-4, atol=1e-5)
            assert torch.equal(caches[2][layer][side], caches[1][layer][side])


def with_invocation(lm: LanguageModel, reply: tuple[int, ...]) -> LanguageModel:
    """A random adapter that acts on the reply alone."""
    config = LoraConfig(
        r=4,
        target_modules=["q_proj", "v_proj", "down_proj"],
        task_type="CAUSAL_LM",
        alora_invocation_tokens=list(reply),
        init_lora_weights=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return lm.with_model(get_peft_model(lm.base(), config).eval(), len(reply))


def reply_reading(
    lm: LanguageModel, rows: list[Conversation], numbers: ScaleTokens, prefixes: PrefixCache
) -> ConfidenceReading:
    reply = reply_tokens(lm.tokenizer, format_named("percent"), numbers)
    before = [before_reply(row, reply) for row in rows]
    ids = np.arange(len(rows))
    prompts = pad_prompts(before, lm.tokenizer.pad_token_id, lm.device)
    cache = DynamicCache()
    base = lm.model.disable_adapter() if isinstance(lm.model, PeftModel) else nullcontext()
    with base:
        forward(
            lm,
            prompts,
            empty_tail(prompts),
            torch.zeros((len(rows), 1), dtype=torch.long),
            cache=cache,
        )
    prefixes.keep(ids.tolist(), cache, prompts)
    return read_reply(lm, prefixes.kept(lm, ids, before), reply, numbers)


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize(("family", "overrides"), FAMILIES[:3])
@pytest.mark.filterwarnings("ignore:Keys and values of")
def test_the_reply_on_kept_prefixes_reads_like_whole_conversations(
    make_tiny: MakeTiny, family: str, overrides: dict[str, object], tuned: bool
) -> None:
    """Rows of unequal length, prefixes kept or computed anew for want of room, in float32 and in
    bfloat16.
    """
    lm = make_tiny(family, **overrides)
    speak_numbers(lm)
    rows, numbers = rows_of(lm)
    base = read_confidence(lm, rows, numbers, ("confidence",))
    if tuned:
        lm = with_invocation(lm, reply_tokens(lm.tokenizer, format_named("percent"), numbers))
    whole = read_confidence(lm, rows, numbers, ("confidence",))
    assert tuned == bool(np.abs(whole.distribution - base.distribution).max() > 1e-4)
    assert whole.states is not None
    for room in (10**9, 0):
        found = reply_reading(lm, rows, numbers, PrefixCache(room, 100, None))
        assert found.distribution == pytest.approx(whole.distribution, abs=1e-6)
        assert found.stated_text == whole.stated_text
        np.testing.assert_equal(found.stated, whole.stated)
        assert found.states is not None
        assert found.states.shape == (3, 4, 1, 32)
        assert found.states == pytest.approx(whole.states, abs=1e-5)
    lower = reply_reading(lm, rows, numbers, PrefixCache(10**9, 100, torch.bfloat16))
    assert lower.distribution == pytest.approx(whole.distribution, abs=0.02)
    assert lower.distribution != pytest.approx(whole.distribution, abs=1e-9)
    if tuned:
        with lm.model.disable_adapter():
            off = reply_reading(lm, rows, numbers, PrefixCache(10**9, 100, None))
        assert off.distribution == pytest.approx(base.distribution, abs=1e-6)
        assert off.stated_text == base.stated_text


def test_states_are_exchanged_and_nothing_else(tiny_lm: LanguageModel) -> None:
    rows, numbers = rows_of(tiny_lm)
    reading = read_confidence(tiny_lm, rows, numbers)
    states = np.ones((3, 4, 1, 32), dtype=np.float32)
    changed = reading.with_states(states)
    assert changed.states is states
    assert (changed.distribution is reading.distribution, changed.stated_text) == (
        True,
        reading.stated_text,
    )
