from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.scale_prompts import PROMPTS, trie_of
from workbench.bottleneck.scale_lens import LogitLens, choose_tokens, node_states
from workbench.bottleneck.tuned_lens import fit_tuned_lens, load_tuned_lens
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

MakeTiny = Callable[..., LanguageModel]


def prompts(n: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(5, 300, (6,), generator=generator).tolist() for _ in range(n)]


def test_a_change_of_basis_between_layers_is_undone(tiny_lm: LanguageModel) -> None:
    """The last layer's output is planted as a known affine map of the layer before."""
    chosen = choose_tokens(
        tiny_lm, node_states(tiny_lm, PROMPTS, trie_of(tiny_lm))[:, -1], trie_of(tiny_lm)
    )
    nodes = len(chosen.trie.inner)
    generator = torch.Generator().manual_seed(0)
    before = torch.randn((200, 1, nodes, 32), generator=generator)
    turn = torch.linalg.qr(torch.randn((32, 32), generator=generator))[0]
    last = before @ turn + 0.3
    lens = fit_tuned_lens(tiny_lm, torch.cat([before, last], dim=1), chosen)
    moved = before + before @ lens.change[0] + lens.shift[0]
    torch.testing.assert_close(moved, last, atol=2e-3, rtol=0)
    assert lens.divergence[0] < 1e-4
    with torch.no_grad():
        read = lens.logits(tiny_lm, 0, before, chosen.tokens)
        wanted = LogitLens().logits(tiny_lm, 1, last, chosen.tokens)
    torch.testing.assert_close(read, wanted, atol=5e-3, rtol=0)


def test_the_last_layer_needs_no_map_and_others_get_closer(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama", num_hidden_layers=4)
    chosen = choose_tokens(lm, node_states(lm, PROMPTS, trie_of(lm))[:, -1], trie_of(lm))
    with torch.no_grad():
        states = node_states(lm, prompts(60), chosen.trie)
    lens = fit_tuned_lens(lm, states, chosen)
    assert lens.divergence[-1] == 0
    assert not lens.change[-1].any()
    held = states[torch.arange(60) % 5 == 0]
    with torch.no_grad():
        own = LogitLens().logits(lm, 3, held[:, -1], chosen.tokens).log_softmax(-1)
        plain = LogitLens().logits(lm, 0, held[:, 0], chosen.tokens).log_softmax(-1)
        tuned = lens.logits(lm, 0, held[:, 0], chosen.tokens).log_softmax(-1)
    apart = [(own.exp() * (own - each)).sum(-1).mean() for each in (plain, tuned)]
    assert apart[1] < apart[0]


def test_states_that_tell_nothing_of_the_last_layer_get_no_map(tiny_lm: LanguageModel) -> None:
    """Noise is not fitted: its map leaves every question with about the mean reading."""
    chosen = choose_tokens(
        tiny_lm, node_states(tiny_lm, PROMPTS, trie_of(tiny_lm))[:, -1], trie_of(tiny_lm)
    )
    generator = torch.Generator().manual_seed(0)
    states = torch.randn((400, 2, len(chosen.trie.inner), 32), generator=generator)
    lens = fit_tuned_lens(tiny_lm, states, chosen)
    moved = states[:, 0] + states[:, 0] @ lens.change[0] + lens.shift[0]
    assert moved.std() < 0.5 * states[:, 1].std(), moved.std()


def test_a_lens_is_kept_and_another_models_is_refused(make_tiny: MakeTiny, tmp_path: Path) -> None:
    lm = make_tiny("llama")
    chosen = choose_tokens(lm, node_states(lm, PROMPTS, trie_of(lm))[:, -1], trie_of(lm))
    lens = fit_tuned_lens(lm, node_states(lm, prompts(10), chosen.trie), chosen)
    path = tmp_path / "lens.safetensors"
    lens.save(path)
    again = load_tuned_lens(path, lm)
    assert torch.equal(again.change, lens.change)
    assert torch.equal(again.shift, lens.shift)
    assert torch.equal(again.divergence, lens.divergence)
    with pytest.raises(WorkbenchError, match="fitted on another model"):
        load_tuned_lens(path, replace(lm, revision="other"))
    path.write_bytes(b"nothing")
    with pytest.raises(WorkbenchError, match="is no tuned lens"):
        load_tuned_lens(path, lm)
    with pytest.raises(WorkbenchError, match="at least 5 questions; there are 3"):
        fit_tuned_lens(lm, node_states(lm, prompts(3), chosen.trie), chosen)
