"""Planted writers are found first by all attributions, and packed ones equal the hooked loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.support.planted_writer import NUMBER, PROMPTS, planted
from tests.support.scale_prompts import PROMPTS as SHORT
from tests.support.scale_prompts import trie_of
from workbench.bottleneck.ceiling import Ceiling, ceiling_margin
from workbench.bottleneck.ceiling_writers import (
    ABLATION,
    ATTRIBUTIONS,
    DIRECT,
    GRADIENT,
    Reference,
    ablation_branch,
    attribute_margin,
    forwards_of,
    mean_at_number,
    mean_of_tokens,
    writers_of,
)
from workbench.models import LanguageModel
from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.metrics import Metric
from workbench.patch.written_confidence import number_positions
from workbench.trace.backends import engine
from workbench.trace.edits import place
from workbench.trace.record import record
from workbench.trace.sites import Site

MakeTiny = Callable[..., LanguageModel]


def margin_metric(lm: LanguageModel, value: float = NUMBER) -> Metric:
    trie = trie_of(lm)
    return ceiling_margin(trie, Ceiling(trie.values, (trie.values.index(value),), 1.0))


def at_number(lm: LanguageModel, prompts: object) -> ModelInputs:
    rows = [list(prompt) for prompt in prompts]  # type: ignore[attr-defined]
    return ModelInputs(lm, rows, number_positions(rows, trie_of(lm)))


def ordinary(lm: LanguageModel) -> Reference:
    rows = [list(prompt) for prompt in PROMPTS[3:]]
    return mean_of_tokens(ModelInputs(lm, rows, torch.tensor([[0, 1, 2]] * len(rows))), 100)


@pytest.mark.parametrize("kind", ["mlp_out", "head_out"])
def test_a_planted_constant_is_found_first_by_all(kind: str) -> None:
    lm, writer = planted(kind, others=0.05)
    inputs, metric = at_number(lm, PROMPTS[:3]), margin_metric(lm)
    found = attribute_margin(inputs, ordinary(lm), metric, tokens_per_forward=200)
    for name in ATTRIBUTIONS:
        mean = found[name].mean(axis=0)
        assert writers_of(lm)[int(mean.argmax())] == writer, name
        assert mean.max() > 5 * np.sort(mean)[-2], name


@pytest.mark.parametrize("kind", ["mlp_out", "head_out"])
def test_a_constant_is_invisible_beside_other_questions(kind: str) -> None:
    """What all questions share stays when the mean over questions is written."""
    lm, _ = planted(kind)
    same = [list(PROMPTS[0]), list(PROMPTS[0])]
    reference = mean_at_number(at_number(lm, same), trie_of(lm).tree, 100)
    found = attribute_margin(
        at_number(lm, same), reference, margin_metric(lm), tokens_per_forward=200
    )
    assert all(np.abs(each).max() < 1e-4 for each in found.values())
    assert np.abs(attribute_margin(
        at_number(lm, same), ordinary(lm), margin_metric(lm), tokens_per_forward=200
    )[ABLATION]).max() > 1  # fmt: skip


@pytest.mark.parametrize("kind", ["mlp_out", "head_out"])
def test_the_planted_margin_goes_by_the_amount_computed_by_hand(kind: str) -> None:
    """With all others silent the stream is the embedding plus what the writer adds."""
    lm, writer = planted(kind)
    inputs, reference = at_number(lm, PROMPTS[:3]), ordinary(lm)
    trie = trie_of(lm)
    at = [[len(prompt) - 1] for prompt in PROMPTS[:3]]
    own = record(lm, PROMPTS[:3], at, [writer])[:, 0, 0]
    layer = lm.layers()[writer.layer]

    def added(state: torch.Tensor) -> torch.Tensor:
        if kind == "mlp_out":
            return state
        assert writer.index is not None
        heads = torch.zeros(len(state), lm.n_heads, lm.head_size)
        heads[:, writer.index] = state
        return layer.self_attn.o_proj(heads.flatten(1))

    def margin(addition: torch.Tensor) -> torch.Tensor:
        token = torch.tensor([prompt[-1] for prompt in PROMPTS[:3]])
        stream = lm.base().get_input_embeddings()(token) + addition
        normed = stream / (stream.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
        logits = normed @ lm.head().weight.T
        tokens = [path[0][1] for path, _ in trie.ends]
        others = [t for t, value in zip(tokens, trie.values, strict=True) if value != NUMBER]
        return logits[:, tokens[trie.values.index(NUMBER)]] - logits[:, others].amax(dim=-1)

    gone = reference.of(lm, writer, 1).float().expand(3, -1)
    wanted = (margin(added(own)) - margin(added(gone))).numpy()
    assert wanted.min() > 1
    found = attribute_margin(inputs, reference, margin_metric(lm), tokens_per_forward=200)
    column = writers_of(lm).index(writer)
    np.testing.assert_allclose(found[ABLATION][:, column], wanted, atol=1e-4)
    others = np.delete(found[ABLATION], column, axis=1)
    assert np.abs(others).max() < 1e-4


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "olmo2"])
def test_packed_equals_the_hooked_loop(make_tiny: MakeTiny, family: str) -> None:
    lm = make_tiny(family)
    trie = trie_of(lm)
    assert trie.tree.size > 0
    inputs = at_number(lm, SHORT)
    reference = mean_at_number(inputs, trie.tree, 1000)
    some = writers_of(lm)[3::5]
    branches = [ablation_branch(lm, [site], reference, inputs.positions) for site in some]
    branches.append(ablation_branch(lm, some, reference, inputs.positions))
    metric = margin_metric(lm, 100)
    packed, loop = (
        Reading(metric, 400, kind).values(inputs, branches).patched
        for kind in (engine("packed"), engine("loop"))
    )
    torch.testing.assert_close(packed, loop, rtol=0, atol=1e-4)
    assert float((packed - packed[:, :1]).abs().max()) > 1e-3


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_neox", "olmo2"])
def test_first_orders_are_the_derivatives_of_the_ablation(make_tiny: MakeTiny, family: str) -> None:
    """A reference a small step away: the gradient is what the ablation does, and at the last layer's
    MLP the direct piece is too, but for the norm's scale.
    """
    lm = make_tiny(family)
    trie = trie_of(lm)
    inputs = at_number(lm, SHORT[:1])
    far = mean_at_number(at_number(lm, SHORT[1:]), trie.tree, 1000)
    own = mean_at_number(inputs, trie.tree, 1000)
    step = 1e-2
    near = Reference(
        {at: own.states[at] + step * (far.states[at] - own.states[at]) for at in own.states}
    )
    found = attribute_margin(inputs, near, margin_metric(lm, 100), tokens_per_forward=1000)
    size = np.abs(found[GRADIENT]).max()
    np.testing.assert_allclose(found[ABLATION], found[GRADIENT], atol=0.05 * size)
    assert not np.allclose(found[DIRECT], found[GRADIENT], atol=0.05 * size)


def test_ablating_own_states_changes_nothing(tiny_lm: LanguageModel) -> None:
    inputs = at_number(tiny_lm, SHORT[:1])
    own = mean_at_number(inputs, trie_of(tiny_lm).tree, 1000)
    found = attribute_margin(inputs, own, margin_metric(tiny_lm, 100), tokens_per_forward=1000)
    assert all(np.abs(each).max() < 1e-5 for each in found.values())


def test_references_are_means_of_recorded_states(tiny_lm: LanguageModel) -> None:
    rows = [list(prompt) for prompt in PROMPTS[:3]]
    inputs = ModelInputs(tiny_lm, rows, torch.tensor([[0, 1], [2, 3], [1, 1]]))
    found = mean_of_tokens(inputs, 100)
    for site in (Site(1, "head_out", 2), Site(3, "mlp_out")):
        wanted = record(tiny_lm, rows, inputs.positions.tolist(), [site])[:, 0].mean(dim=(0, 1))
        torch.testing.assert_close(found.of(tiny_lm, site, 4), wanted.expand(4, -1))
    assert place(0, "mlp_out") not in found.states


def test_cost_is_counted_in_forwards(tiny_lm: LanguageModel) -> None:
    inputs = at_number(tiny_lm, PROMPTS[:3])
    nodes = trie_of(tiny_lm).tree.size
    length = (4 + 6 + 4) / 3
    cost = forwards_of(inputs, trie_of(tiny_lm).tree)
    # Five writers in each of the layers 1, 2 and 3, which see 3/4, 2/4 and 1/4 of the layers.
    assert cost[ABLATION] == pytest.approx((length + nodes + 7.5 * (1 + nodes)) / length)
    assert cost[GRADIENT] == 3 * cost[DIRECT]
