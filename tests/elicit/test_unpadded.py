"""Models that no mask can pad answer and state confidence as the host library generates, and as the
packed path reads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.elicit.answer import answer_batch, answer_prompts
from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.elicit.greedy import stop_at_newline
from workbench.elicit.readout import ConfidenceReading, read_confidence
from workbench.models import LanguageModel
from workbench.trace.forked import read_ends
from workbench.trace.token_tree import TokenTree

MakeTiny = Callable[..., LanguageModel]
QUESTIONS = ("Who?", "Where is it?", "When?", "What is the name of it?")
FORMAT = FORMATS["percent"]
LIMIT = 7


@pytest.fixture(autouse=True)
def _told() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def unpadded(lm: LanguageModel) -> LanguageModel:
    """The same model, taken for one that no mask can pad."""
    return replace(lm, architecture=replace(lm.architecture, packable=False, why_not="a test"))


def generated(lm: LanguageModel, prompt: tuple[int, ...]) -> str:
    """The host library's own greedy answer to one prompt alone, up to what ends an answer."""
    ids = torch.tensor([prompt])
    out = lm.base().generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=LIMIT, do_sample=False
    )[0, ids.shape[1] :]
    stop, kept = stop_at_newline(lm), []
    for token in out.tolist():
        kept.append(token)
        if stop[token]:
            break
    return lm.tokenizer.decode(kept, skip_special_tokens=True).split("\n", 1)[0].strip()


@pytest.mark.parametrize("family", ["llama", "falcon_h1", "qwen3_next"])
def test_answers_are_those_of_each_prompt_alone(make_tiny: MakeTiny, family: str) -> None:
    lm = unpadded(make_tiny(family))
    prompts = answer_prompts(lm, FORMAT, QUESTIONS, [""] * len(QUESTIONS))
    scores: list[float] = []
    said = answer_batch(lm, prompts, LIMIT, log_probabilities=scores)
    assert said == [generated(lm, prompt) for prompt in prompts]
    assert all(-20 < score < 0 for score in scores)


def reading(lm: LanguageModel) -> ConfidenceReading:
    numbers = scale_tokens(lm.tokenizer, FORMAT)
    conversations = [
        confidence_conversation(lm.tokenizer, FORMAT, numbers, question, answer)
        for question, answer in zip(QUESTIONS, ("me", "no idea", "", "it"), strict=True)
    ]
    return read_confidence(lm, conversations, numbers, ("answer_end", "after_answer"))


def test_the_scale_text_and_states_are_those_of_the_packed_path(tiny_lm: LanguageModel) -> None:
    packed, loop = reading(tiny_lm), reading(unpadded(tiny_lm))
    np.testing.assert_allclose(loop.distribution, packed.distribution, rtol=1e-4, atol=1e-9)
    assert loop.stated_text == packed.stated_text
    np.testing.assert_array_equal(loop.stated, packed.stated)
    assert loop.states is not None
    assert packed.states is not None
    np.testing.assert_allclose(loop.states, packed.states, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", ["falcon_h1", "qwen3_next"])
def test_the_ends_of_recurrent_models_are_those_of_plain_forwards(
    make_tiny: MakeTiny, family: str
) -> None:
    lm = make_tiny(family)
    prompts = [[5, 6, 7, 8], [9, 10, 11], [12, 13, 14, 15]]
    tree = TokenTree((20, 21, 22), (-1, 0, -1))
    found = read_ends(lm, prompts, tokens_per_forward=8, tree=tree)
    for row, prompt in enumerate(prompts):
        for node, path in enumerate(((), (20,), (20, 21), (22,))):
            ids = torch.tensor([[*prompt, *path]])
            with torch.no_grad():
                plain = lm.decoder()(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
            torch.testing.assert_close(found[row, node], plain, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", ["falcon_h1", "qwen3_next"])
def test_recurrent_models_state_a_confidence(make_tiny: MakeTiny, family: str) -> None:
    found = reading(make_tiny(family))
    assert found.states is not None
    assert found.states.shape == (len(QUESTIONS), 4, 2, 32)
    assert (found.distribution >= 0).all()
    assert (found.distribution.sum(axis=-1) <= 1 + 1e-5).all()
