from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from workbench.elicit.baselines.alternatives import Alternatives, alternatives, share_of
from workbench.elicit.baselines.chains import score_chains
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, Turn, encode
from workbench.trace.forward import forward
from workbench.trace.layout import pad_prompts

TURNS = (Turn("user", "Well?"),)
SPELLINGS = (("ab", " ab", "a"), ("ac", "b12"))


def read(lm: LanguageModel, found: Alternatives, opening: str) -> np.ndarray:
    prompt = (*encode(lm.tokenizer, TURNS, opening), *found.shared)
    prompts = pad_prompts([prompt, prompt[3:]], 0, lm.device)
    tail, ends = score_chains(prompts, [len(prompt), len(prompt) - 3], [(), ()], found.trie.tree)
    return found.probabilities(lm, forward(lm, prompts, tail, ends).final)[0]


@pytest.mark.parametrize("tokenizer", ["digits", "whole_numbers", "merged_space"])
@pytest.mark.parametrize("family", ["llama", "mistral", "gpt2"])
def test_each_string_has_the_probability_of_plain_forwards(
    make_tiny: Callable[..., LanguageModel], brute: Any, family: str, tokenizer: str
) -> None:
    lm = make_tiny(family, tokenizer)
    found = alternatives(lm.tokenizer, TURNS, "So:", SPELLINGS)
    expected = brute(lm).spelled(TURNS, "So:", ["ab", " ab", "a", "ac", "b12"])
    assert found.owners == (0, 0, 0, 1, 1)
    np.testing.assert_allclose(read(lm, found, "So:"), expected, rtol=1e-4, atol=1e-12)


def test_the_likeliest_spelling_stands_for_its_alternative(tiny_lm: LanguageModel) -> None:
    found = alternatives(tiny_lm.tokenizer, TURNS, "So:", SPELLINGS)
    probabilities = np.asarray([[0.1, 0.3, 0.2, 0.05, 0.25]])
    assert found.largest(probabilities).tolist() == [[0.3, 0.25]]
    assert share_of(np.asarray([[0.3, 0.1]]), 0).tolist() == pytest.approx([0.75])


def test_tokens_all_strings_share_belong_to_the_prompt(tiny_lm: LanguageModel) -> None:
    found = alternatives(tiny_lm.tokenizer, TURNS, "So:", ((" x",), (" y",)))
    assert tiny_lm.tokenizer.decode(found.shared) == " "
    assert found.nodes == 0


def test_strings_that_cannot_be_told_apart_are_refused(
    make_tiny: Callable[..., LanguageModel],
) -> None:
    lm = make_tiny(tokenizer="merged_space")
    with pytest.raises(WorkbenchError, match="like another alternative"):
        alternatives(lm.tokenizer, TURNS, "So:", (("a",), ("a",)))
    with pytest.raises(WorkbenchError, match="merges"):
        alternatives(lm.tokenizer, TURNS, "So: ", (("1",), ("a",)))


DEVICES = ["cpu", *([torch.accelerator.current_accelerator()] * torch.accelerator.is_available())]


@pytest.mark.parametrize("device", DEVICES)
def test_probabilities_are_those_of_the_models_head_on_any_device(
    tiny_lm: LanguageModel, device: Any
) -> None:
    found = alternatives(tiny_lm.tokenizer, TURNS, "So:", ((" x",), (" y",)))
    states = torch.randn(3, 1, tiny_lm.width, generator=torch.Generator().manual_seed(0))
    tokens = [steps[0][1] for steps, _ in found.trie.ends]
    assert len(set(tokens)) == 2
    with torch.no_grad():
        expected = tiny_lm.head()(states[:, 0]).double().softmax(dim=-1)[:, tokens].numpy()
    tiny_lm.base().to(device)
    probabilities = found.probabilities(tiny_lm, states.to(device))
    assert probabilities == pytest.approx(expected, rel=1e-4)
    assert np.ptp(probabilities) > 1e-4
