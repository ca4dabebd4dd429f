from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.scale_prompts import PROMPTS, trie_of
from workbench.bottleneck.jacobian_lens import JacobianLens, fit_jacobian_lens, load_jacobian_lens
from workbench.bottleneck.lens_divergence import divergence_by_layer
from workbench.bottleneck.scale_lens import (
    LensTokens,
    LogitLens,
    choose_tokens,
    node_states,
    read_layers,
)
from workbench.config import LoraSettings
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.teach.adapter import add_adapter
from workbench.trace.forward import run_joint
from workbench.trace.layout import empty_tail, pad_prompts
from workbench.trace.prompt_cache import CachedPrompts, PromptCache

MakeTiny = Callable[..., LanguageModel]


def prompts(n: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(5, 300, (6,), generator=generator).tolist() for _ in range(n)]


def tokens_of(lm: LanguageModel) -> LensTokens:
    trie = trie_of(lm)
    return choose_tokens(lm, node_states(lm, PROMPTS, trie)[:, -1], trie)


def fitted(lm: LanguageModel, rows: list[list[int]] = PROMPTS) -> JacobianLens:
    return fit_jacobian_lens(lm, rows, tokens_of(lm), tokens_per_forward=1000)


def test_of_a_single_question_it_is_the_tangent_there(make_tiny: MakeTiny) -> None:
    """At the state it was fitted at it reads the model's own logits, and near it the change is the
    first-order one: what is left over shrinks with the square of the step.
    """
    lm = make_tiny("llama", tokenizer="whole_numbers")
    lens, chosen = fitted(lm, PROMPTS[:1]), tokens_of(lm)
    assert len(chosen.trie.inner) == 1
    states = node_states(lm, PROMPTS[:1], chosen.trie)
    with torch.no_grad():
        own = LogitLens().logits(lm, 3, states[:, -1], chosen.tokens)
        for layer in range(lm.n_layers):
            read = lens.logits(lm, layer, states[:, layer], chosen.tokens)
            torch.testing.assert_close(read, own, atol=1e-5, rtol=0)
        step = torch.randn(states[:, -1].shape, generator=torch.Generator().manual_seed(0))
        left = []
        for size in (1e-1, 1e-2):
            moved = states[:, -1] + size * step
            truth = LogitLens().logits(lm, 3, moved, chosen.tokens)
            left.append((lens.logits(lm, 3, moved, chosen.tokens) - truth).abs().max())
    assert left[1] < left[0] / 30


def test_without_its_intercept_the_last_layer_would_read_next_to_nothing(
    tiny_lm: LanguageModel,
) -> None:
    """A logit after an RMS norm does not change with the size of the state."""
    chosen = tokens_of(tiny_lm)
    lens = fitted(tiny_lm, PROMPTS[:1])
    bare = replace(lens, intercept=torch.zeros_like(lens.intercept))
    states = node_states(tiny_lm, PROMPTS[:1], chosen.trie)[:, -1, :1]
    root = lens.gradient[3, 0] @ states[0, 0]
    assert root.abs().max() < 1e-3
    assert lens.intercept[3, 0].abs().max() > 0.1
    with pytest.raises(WorkbenchError, match="another scale, or for states of another width"):
        bare.logits(tiny_lm, 3, states, chosen.tokens)


def test_it_comes_nearer_to_the_model_than_the_logit_lens(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    chosen, lens = tokens_of(lm), fitted(lm, prompts(12))
    states = node_states(lm, prompts(24)[12:], chosen.trie)
    ours = divergence_by_layer(lm, lens, states, chosen)
    plain = divergence_by_layer(lm, LogitLens(), states, chosen)
    assert plain[-1] == 0
    assert (ours[:-1] < plain[:-1]).all()


def test_kept_beginnings_change_nothing(tiny_lm: LanguageModel) -> None:
    chosen = tokens_of(tiny_lm)

    def beginnings(batch: object) -> CachedPrompts:
        first = [PROMPTS[row][:2] for row in batch]  # type: ignore[attr-defined]
        begun = pad_prompts(first, tiny_lm.tokenizer.pad_token_id, tiny_lm.device)
        cache = PromptCache(begun.columns)
        run_joint(tiny_lm, begun, empty_tail(begun), None, (), cache)
        return CachedPrompts(begun, cache, {}, 0)

    whole = fitted(tiny_lm)
    kept = fit_jacobian_lens(
        tiny_lm, PROMPTS, chosen, tokens_per_forward=1000, beginnings=beginnings
    )
    torch.testing.assert_close(kept.gradient, whole.gradient, atol=1e-5, rtol=0)
    torch.testing.assert_close(kept.intercept, whole.intercept, atol=1e-4, rtol=0)
    at_once = read_layers(tiny_lm, PROMPTS, chosen, {"a": whole})["a"]
    begun = beginnings(range(len(PROMPTS)))
    after = read_layers(tiny_lm, PROMPTS, chosen, {"a": whole}, begun)["a"]
    torch.testing.assert_close(torch.tensor(after), torch.tensor(at_once), atol=1e-4, rtol=0)


def test_a_lens_is_kept_and_another_models_or_scales_is_refused(
    make_tiny: MakeTiny, tmp_path: Path
) -> None:
    lm = make_tiny("llama")
    lens, path = fitted(lm), tmp_path / "lens.safetensors"
    lens.save(path)
    again = load_jacobian_lens(path, lm, lens.chosen.trie)
    assert torch.equal(again.gradient, lens.gradient)
    assert torch.equal(again.intercept, lens.intercept)
    assert again.chosen.tokens == lens.chosen.tokens
    with pytest.raises(WorkbenchError, match="fitted on another model"):
        load_jacobian_lens(path, replace(lm, revision="other"), lens.chosen.trie)
    with pytest.raises(WorkbenchError, match="another scale's tokens"):
        load_jacobian_lens(path, lm, trie_of(lm, "letters"))
    with pytest.raises(WorkbenchError, match="fitted for the tokens of another scale"):
        lens.logits(lm, 0, torch.zeros(1, len(lens.chosen.trie.inner), 32), (1, 2))
    path.write_bytes(b"nothing")
    with pytest.raises(WorkbenchError, match="is no Jacobian lens"):
        load_jacobian_lens(path, lm, lens.chosen.trie)


def test_a_taught_models_lens_is_refused_on_the_base_model(
    make_tiny: MakeTiny, tmp_path: Path
) -> None:
    lm, path = make_tiny("llama"), tmp_path / "lens.safetensors"
    trie = trie_of(lm)
    tuned = add_adapter(make_tiny("llama"), LoraSettings(rank=2))
    fitted(tuned).save(path)
    load_jacobian_lens(path, tuned, trie)
    with pytest.raises(WorkbenchError, match="fitted on another model"):
        load_jacobian_lens(path, lm, trie)


def test_what_cannot_be_fitted_is_refused(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    with pytest.raises(WorkbenchError, match="at least one training question"):
        fitted(lm, [])
    with pytest.raises(WorkbenchError):
        fitted(make_tiny("falcon_h1"))
