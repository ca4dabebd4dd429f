from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.support.thinking import build_thinker
from workbench.api.confidence import ask
from workbench.api.donors import Vector
from workbench.api.patching import patch_map, sweep
from workbench.api.recorded_donor import record_donor
from workbench.elicit.answer import Limits
from workbench.elicit.conversation import (
    Conversation,
    ScaleTokens,
    confidence_conversation,
    scale_tokens,
)
from workbench.elicit.format import Format
from workbench.elicit.formats import FORMATS
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.patch.controls import CONDITIONS, derangement
from workbench.patch.sweep import ONE_BATCH, layer_sweep_of_scale, record_number
from workbench.questions import Question
from workbench.teach.adapter import save_adapter
from workbench.trace.backends import engine


@dataclass(frozen=True)
class Asked:
    conversations: Sequence[Conversation]
    format: Format
    scale_tokens: ScaleTokens


@dataclass(frozen=True)
class AskedTexts(Asked):
    lm: LanguageModel
    questions: Sequence[Question]
    replies: pd.DataFrame


@pytest.fixture
def asked(tiny_lm: LanguageModel) -> Asked:
    fmt = FORMATS["percent"]
    numbers = scale_tokens(tiny_lm.tokenizer, fmt)
    words = ("the", "a cat", "a doggy", "nothing")
    return Asked(
        [
            confidence_conversation(tiny_lm.tokenizer, fmt, numbers, f"What is {word}?", word)
            for word in words
        ],
        fmt,
        numbers,
    )


@pytest.fixture
def tuned(tiny_lm: LanguageModel) -> LanguageModel:
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    return tiny_lm.with_model(get_peft_model(tiny_lm.model, config).eval().requires_grad_(False))


def test_a_tuned_model_sweeps_with_every_condition(
    tiny_lm: LanguageModel, tuned: LanguageModel, asked: Asked
) -> None:
    """The model with an adapter in its weights still stands for the base model."""
    found = sweep(tiny_lm, asked, donor=tuned)
    assert [part.name for part in found.conditions] == [c.name for c in CONDITIONS]
    assert found.read == "expected confidence"
    assert found.noise_floor < 1e-6
    assert found.donor is not None
    assert found.patched[:, 3] == pytest.approx(found.donor, abs=1e-6)
    assert np.abs(found.donor - found.base).max() > 1e-3
    reverse = found.condition("reverse")
    assert reverse.base == pytest.approx(found.donor, abs=1e-6)
    assert reverse.donor == pytest.approx(found.base, abs=1e-6)
    other = found.condition(CONDITIONS[1].name)
    assert other.donor is not None
    assert other.donor == pytest.approx(found.donor[derangement(4, 0)], abs=1e-6)
    prompts, trie = [c.tokens for c in asked.conversations], asked.scale_tokens.trie
    at = [c.confidence for c in asked.conversations]
    donors = record_number(tuned, prompts, trie, [[place] for place in at])
    with adapter_off(tuned):
        reading = layer_sweep_of_scale(
            tuned,
            prompts,
            trie,
            at,
            [1],
            donors[:, [1]],
            tokens_per_forward=ONE_BATCH,
            engine=engine("loop"),
        )
    share = np.arange(101) / 100
    wanted = reading.patched[:, 0] @ share / reading.patched[:, 0].sum(axis=-1)
    assert found.patched[:, 1] == pytest.approx(wanted, abs=1e-6)
    assert "own tuned" in [trace.name for trace in found.figure().data]


def test_without_controls_there_is_the_effect_alone(
    tiny_lm: LanguageModel, tuned: LanguageModel, asked: Asked
) -> None:
    bare, whole = (sweep(tiny_lm, asked, donor=tuned, controls=c) for c in (False, True))
    assert len(bare.conditions) == 1
    assert bare.patched == pytest.approx(whole.patched)
    assert bare.donor == pytest.approx(whole.donor)


def test_an_adapters_folder_is_a_donor_and_is_taken_out_again(
    tiny_lm: LanguageModel, tuned: LanguageModel, asked: Asked, tmp_path: Path
) -> None:
    wanted = sweep(tiny_lm, asked, donor=tuned, controls=False).patched
    save_adapter(tuned, tmp_path, None)
    tuned.model.unload()
    found = sweep(tiny_lm, asked, donor=tmp_path, controls=False)
    assert found.patched == pytest.approx(wanted, abs=1e-6)
    names = [name for name, _ in tiny_lm.model.named_parameters()]
    assert not [name for name in names if "lora" in name]


def test_asked_questions_are_prompts_of_a_map(
    tiny_lm: LanguageModel, tuned: LanguageModel, asked: Asked
) -> None:
    whole = sweep(tiny_lm, asked, donor=tuned, controls=False)
    found = patch_map(tiny_lm, asked, donor=tuned, over=("layer",), controls=False)
    assert found.patched == pytest.approx(whole.patched, abs=1e-6)


def asked_by(lm: LanguageModel, scale: str = "percent") -> AskedTexts:
    """Four questions with the answers "a cat", as the model's own tokens."""
    fmt = FORMATS[scale]
    numbers = scale_tokens(lm.tokenizer, fmt)
    texts = [f"What is {word}?" for word in ("the", "a cat", "a doggy", "nothing")]
    return AskedTexts(
        [confidence_conversation(lm.tokenizer, fmt, numbers, text, "a cat") for text in texts],
        fmt,
        numbers,
        lm,
        [Question(text, text, ("a cat",), "d", "s", "l") for text in texts],
        pd.DataFrame({"answer": ["a cat"] * 4}),
    )


def test_another_checkpoint_is_asked_by_its_own_template(
    tiny_lm: LanguageModel, make_tiny: Callable[..., LanguageModel]
) -> None:
    """The donor's states and readouts are those of its own conversations; the confidence position
    is the last token of both.
    """
    other = make_tiny(seed=1)
    other.tokenizer.chat_template = tiny_lm.tokenizer.chat_template.replace(
        "'<|im_end|>' + '\n'", "'<|im_end|>' + '\n\n'"
    )
    asked, theirs = asked_by(tiny_lm), asked_by(other)
    assert [len(c.tokens) for c in asked.conversations] != [
        len(c.tokens) for c in theirs.conversations
    ]
    found = sweep(tiny_lm, asked, donor=other)
    assert found.what == "resid_post of tiny-llama patched at the confidence position"
    assert found.noise_floor < 1e-6
    trie = asked.scale_tokens.trie
    ends, other_ends = ([c.confidence for c in each.conversations] for each in (asked, theirs))
    prompts, other_prompts = ([c.tokens for c in each.conversations] for each in (asked, theirs))
    donors = record_number(other, other_prompts, trie, [[end] for end in other_ends])
    loop = engine("loop")
    reading = layer_sweep_of_scale(
        tiny_lm, prompts, trie, ends, [1], donors[:, [1]], tokens_per_forward=ONE_BATCH, engine=loop
    )
    share = np.arange(101) / 100
    wanted = reading.patched[:, 0] @ share / reading.patched[:, 0].sum(axis=-1)
    assert found.patched[:, 1] == pytest.approx(wanted, abs=1e-6)
    own = record_number(tiny_lm, prompts, trie, [[end] for end in ends])
    back = layer_sweep_of_scale(
        other,
        other_prompts,
        trie,
        other_ends,
        [2],
        own[:, [2]],
        tokens_per_forward=ONE_BATCH,
        engine=loop,
    )
    wanted = back.patched[:, 0] @ share / back.patched[:, 0].sum(axis=-1)
    said = back.base @ share / back.base.sum(axis=-1)
    assert found.donor == pytest.approx(said, abs=1e-6)
    reverse = found.condition("reverse")
    assert reverse.patched[:, 2] == pytest.approx(wanted, abs=1e-6)
    assert reverse.base == pytest.approx(found.donor, abs=1e-6)


def test_a_recorded_checkpoint_is_asked_by_its_own_template_too(
    tiny_lm: LanguageModel, make_tiny: Callable[..., LanguageModel]
) -> None:
    other = make_tiny(seed=1)
    other.tokenizer.chat_template = tiny_lm.tokenizer.chat_template.replace(
        "'<|im_end|>' + '\n'", "'<|im_end|>' + '\n\n'"
    )
    asked = asked_by(tiny_lm)
    whole = sweep(tiny_lm, asked, donor=other, controls=False)
    found = patch_map(tiny_lm, asked, record_donor(other, asked), over=("layer",))
    assert found.patched == pytest.approx(whole.patched, abs=1e-6)
    assert found.donor == pytest.approx(whole.donor, abs=1e-6)


def test_the_same_checkpoint_gives_its_own_states(
    tiny_lm: LanguageModel, make_tiny: Callable[..., LanguageModel]
) -> None:
    found = sweep(tiny_lm, asked_by(tiny_lm), donor=make_tiny())
    assert found.patched == pytest.approx(np.repeat(found.base[:, None], 4, axis=1), abs=1e-6)


def test_a_scale_cut_otherwise_is_refused(
    tiny_lm: LanguageModel, make_tiny: Callable[..., LanguageModel]
) -> None:
    other = make_tiny(seed=1, tokenizer="whole_numbers")
    with pytest.raises(WorkbenchError, match="cut the scale's texts into other tokens"):
        sweep(tiny_lm, asked_by(tiny_lm), donor=other)


def test_what_the_controlled_sweep_does_not_do_is_refused(
    tiny_lm: LanguageModel, tuned: LanguageModel, asked: Asked
) -> None:
    with pytest.raises(WorkbenchError, match="leave read, at, component"):
        sweep(tiny_lm, asked, donor=tuned, component="mlp_out")
    with pytest.raises(WorkbenchError, match="leave subspace out, or swap within it by patch_map"):
        sweep(tiny_lm, asked, donor=tuned, subspace=torch.ones(4, 32))


def test_a_direction_is_swapped_between_asked_questions(
    tiny_lm: LanguageModel, tuned: LanguageModel, asked: Asked
) -> None:
    """One call for all layers; the numbers are those of the scale's own sweep."""
    other = replace(asked, conversations=asked.conversations[::-1])
    directions = torch.randn((4, 32), generator=torch.Generator().manual_seed(2))
    found = sweep(tiny_lm, asked, donor=other, subspace=directions, controls=False)
    tokens = [c.tokens for c in asked.conversations]
    at = [c.confidence for c in asked.conversations]
    numbers = asked.scale_tokens
    with adapter_off(tuned):
        donors = record_number(tiny_lm, tokens, numbers.trie, [[p] for p in at]).flip(0)
        reading = layer_sweep_of_scale(
            tiny_lm,
            tokens,
            numbers.trie,
            at,
            range(4),
            donors,
            tokens_per_forward=ONE_BATCH,
            subspace=directions,
        )
    wanted = reading.patched @ (np.arange(101) / 100) / reading.patched.sum(axis=-1)
    assert found.patched == pytest.approx(wanted, abs=1e-6)
    assert np.abs(found.patched - found.base[:, None]).max() > 1e-3


def test_a_place_may_be_a_named_position_of_asked_questions(
    tiny_lm: LanguageModel, asked: Asked
) -> None:
    """The same map as from the tokens' numbers, each conversation's own and its donor's."""
    other = replace(asked, conversations=asked.conversations[::-1])
    found = patch_map(tiny_lm, asked, other, over=("layer",), at="answer_end", controls=False)
    numbers = tuple(
        [c.position("answer_end") for c in each.conversations] for each in (asked, other)
    )
    assert numbers[0] != numbers[1]
    wanted = patch_map(tiny_lm, asked, other, over=("layer",), at={"x": numbers}, controls=False)
    assert found.patched == pytest.approx(wanted.patched, abs=1e-6)
    last = patch_map(tiny_lm, asked, other, over=("layer",), at="last", controls=False)
    assert np.abs(found.patched - last.patched).max() > 1e-4


def test_places_in_a_thought_are_patched() -> None:
    lm = build_thinker(closing=4.0)
    texts = [f"Which of the planets is upper {i * 7919 % 1000}?" for i in range(6)]
    limits = Limits(3, 3, 12)
    thought = ask(lm, texts, "percent-one-turn", thinking="on", limits=limits, record=())
    both = ["thought_half", "thought_end"]
    found = patch_map(lm, thought, Vector(torch.ones(32)), at=both, controls=False)
    assert found.condition(found.conditions[0].name).patched.shape[:3] == (6, 4, 2)
    at = {name: [c.position(name) for c in thought.conversations] for name in both}
    wanted = patch_map(lm, thought, Vector(torch.ones(32)), at=at, controls=False)
    assert found.patched == pytest.approx(wanted.patched, abs=1e-6)
    assert np.abs(found.patched - found.base[:, None, None]).max() > 1e-4


def test_named_positions_need_asked_donors(tiny_lm: LanguageModel, asked: Asked) -> None:
    with pytest.raises(WorkbenchError, match="known in asked questions alone"):
        patch_map(tiny_lm, asked, ["a text"] * 4, at="answer_end")
    with pytest.raises(WorkbenchError, match="shows no thought"):
        patch_map(tiny_lm, asked, asked, at="thought_end")
