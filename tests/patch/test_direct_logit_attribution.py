from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.support.tiny_models import PACKABLE as FAMILIES
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.direct_logit_attribution import direct_attribution
from workbench.patch.logit_combinations import Combination, logit_contrast
from workbench.trace.record import record
from workbench.trace.sites import Site

MakeTiny = Callable[..., LanguageModel]
PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35]]
CONTRAST = logit_contrast([5, 9], [6, 7, 8], rows=3)


def with_uneven_vectors(lm: LanguageModel) -> LanguageModel:
    """Biases and norm weights are 0 or 1 in a fresh model; give them values that must be
    accounted for.
    """
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in lm.base().parameters():
            if weight.dim() == 1:
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return lm


def uncapped_contrast(lm: LanguageModel, tokens: Sequence[int]) -> float:
    """The combination by the model's own forward on the row alone."""
    with torch.no_grad():
        logits = (
            lm.base()(input_ids=torch.tensor([list(tokens)]), use_cache=False)
            .logits[0, -1]
            .double()
        )
    cap = lm.architecture.logit_softcap
    if cap is not None:
        logits = cap * torch.atanh(logits / cap)
    return float(logits[[5, 9]].mean() - logits[[6, 7, 8]].mean())


@pytest.mark.parametrize("family", FAMILIES)
def test_pieces_sum_to_the_logit_difference(make_tiny: MakeTiny, family: str) -> None:
    lm = with_uneven_vectors(make_tiny(family))
    for budget in (10**6, 8):
        found = direct_attribution(lm, PROMPTS, CONTRAST, tokens_per_forward=budget)
        size = found.attention.abs().max().clamp_min(1)
        assert float(found.remainder.abs().max() / size) < 1e-4
        torch.testing.assert_close(
            found.heads.sum(dim=2) + found.head_bias, found.attention, rtol=1e-4, atol=1e-5
        )
        for row, tokens in enumerate(PROMPTS):
            assert float(found.total[row]) == pytest.approx(
                uncapped_contrast(lm, tokens), rel=1e-4, abs=1e-5
            )
    assert all(
        float(part.abs().min()) > 0
        for part in (found.embedding, found.attention, found.mlp, found.heads)
    )
    if family in ("gpt2", "gpt_neox", "gpt_oss"):
        assert float(found.head_bias.abs().min()) > 0


def test_heads_by_hand_through_a_norm_behind_attention(make_tiny: MakeTiny) -> None:
    """Olmo2: the head's columns of the projection, the norm's gain over the observed scale, the
    final norm's likewise.
    """
    lm = with_uneven_vectors(make_tiny("olmo2"))
    found = direct_attribution(lm, PROMPTS, CONTRAST, tokens_per_forward=10**6)
    at = [[len(prompt) - 1] for prompt in PROMPTS]
    stream = record(lm, PROMPTS, at, [Site(3)])[:, 0, 0]
    heads = record(lm, PROMPTS, at, [Site(1, "head_out", head) for head in range(4)])[:, :, 0]
    layer = lm.layers()[1]
    eps = lm.config.rms_norm_eps
    shares = torch.einsum("dhk,bhk->bhd", layer.self_attn.o_proj.weight.unflatten(1, (4, 8)), heads)
    scale = (shares.sum(dim=1).square().mean(dim=-1) + eps).sqrt()
    shares = shares * layer.post_attention_layernorm.weight / scale[:, None, None]
    final = (stream.square().mean(dim=-1) + eps).sqrt()
    unembedding = lm.head().weight
    direction = lm.final_norm().weight * (
        unembedding[[5, 9]].mean(dim=0) - unembedding[[6, 7, 8]].mean(dim=0)
    )
    expected = (shares * direction).sum(dim=-1) / final[:, None]
    torch.testing.assert_close(found.heads[:, 1].float(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("writer", [0, 2])
def test_the_only_writer_has_the_only_piece(make_tiny: MakeTiny, writer: int) -> None:
    lm = make_tiny("llama")
    with torch.no_grad():
        for index, layer in enumerate(lm.layers()):
            layer.get_submodule("self_attn.o_proj").weight.zero_()
            if index != writer:
                layer.get_submodule("mlp.down_proj").weight.zero_()
    found = direct_attribution(lm, PROMPTS, CONTRAST, tokens_per_forward=10**6)
    assert not found.attention.any()
    assert not found.heads.any()
    others = [layer for layer in range(4) if layer != writer]
    assert not found.mlp[:, others].any()
    assert float(found.mlp[:, writer].abs().min()) > 1e-3
    torch.testing.assert_close(
        found.embedding + found.mlp[:, writer], found.total, rtol=1e-4, atol=1e-5
    )


def test_adapters_in_projection_and_head_count(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    plain = direct_attribution(lm, PROMPTS, CONTRAST, tokens_per_forward=10**6)
    config = LoraConfig(
        r=4, target_modules=["o_proj", "lm_head", "up_proj"], init_lora_weights=False
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        tuned = lm.with_model(get_peft_model(lm.base(), config).eval())
    found = direct_attribution(tuned, PROMPTS, CONTRAST, tokens_per_forward=10**6)
    assert float(found.remainder.abs().max()) < 1e-4
    torch.testing.assert_close(
        found.heads.sum(dim=2) + found.head_bias, found.attention, rtol=1e-4, atol=1e-5
    )
    assert float((found.total - plain.total).abs().min()) > 1e-3
    assert float(found.total[1]) == pytest.approx(uncapped_contrast(tuned, PROMPTS[1]), abs=1e-4)


@pytest.mark.parametrize(("back", "inside"), [(1, True), (2, True), (4, False)])
def test_an_adapter_with_a_reach_counts_where_it_acts(
    make_tiny: MakeTiny, back: int, inside: bool
) -> None:
    """Two tokens at each prompt's end are within reach; before them the pieces are the base
    model's own.
    """
    lm = make_tiny("llama")
    positions = [len(prompt) - back for prompt in PROMPTS]
    plain = direct_attribution(lm, PROMPTS, CONTRAST, tokens_per_forward=10**6, positions=positions)
    config = LoraConfig(
        r=4,
        target_modules=["o_proj", "up_proj"],
        task_type="CAUSAL_LM",
        alora_invocation_tokens=[1, 2],
    )
    model = get_peft_model(lm.base(), config).eval()
    generator = torch.Generator().manual_seed(4)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = 0.2 * torch.randn(weight.shape, generator=generator)
    found = direct_attribution(
        lm.with_model(model, 2), PROMPTS, CONTRAST, tokens_per_forward=10**6, positions=positions
    )
    assert float(found.remainder.abs().max()) < 1e-4
    torch.testing.assert_close(
        found.heads.sum(dim=2) + found.head_bias, found.attention, rtol=1e-4, atol=1e-5
    )
    assert bool(((found.total - plain.total).abs() > 1e-3).all()) == inside
    mixed = [len(prompt) - 1 - 3 * (row == 1) for row, prompt in enumerate(PROMPTS)]
    with pytest.raises(WorkbenchError, match="all of them before"):
        direct_attribution(
            lm.with_model(model, 2), PROMPTS, CONTRAST, tokens_per_forward=10**6, positions=mixed
        )
    if not inside:
        torch.testing.assert_close(found.heads, plain.heads, rtol=1e-4, atol=1e-5)


def test_an_earlier_position_is_that_of_the_prompt_cut_there(tiny_lm: LanguageModel) -> None:
    early = direct_attribution(
        tiny_lm, PROMPTS, CONTRAST, tokens_per_forward=10**6, positions=[2, 3, 4]
    )
    cut = [prompt[: at + 1] for prompt, at in zip(PROMPTS, (2, 3, 4), strict=True)]
    expected = direct_attribution(tiny_lm, cut, CONTRAST, tokens_per_forward=10**6)
    torch.testing.assert_close(early.heads, expected.heads, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(early.total, expected.total, rtol=1e-4, atol=1e-5)


def test_mistakes_are_named(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="3 rows for 2 prompts"):
        direct_attribution(tiny_lm, PROMPTS[:2], CONTRAST, tokens_per_forward=100)
    with pytest.raises(WorkbenchError, match="outside its prompt"):
        direct_attribution(tiny_lm, PROMPTS, CONTRAST, tokens_per_forward=100, positions=[7, 4, 5])
    with pytest.raises(WorkbenchError, match="one column a token"):
        Combination((1, 2), torch.zeros((3, 1)))
