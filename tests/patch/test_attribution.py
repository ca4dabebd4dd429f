from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import Format
from workbench.elicit.scales import PERCENT
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.patch.attribution import Attribution, attribute, unverified_scores
from workbench.patch.components import ComponentSet, whole_model
from workbench.patch.inputs import ModelInputs
from workbench.patch.metrics import contrast, expected_confidence_of
from workbench.patch.verification import Check
from workbench.trace.backends import engine

MakeTiny = Callable[..., LanguageModel]
FORMAT = Format("short", "", "A:", "Sure?", "C:", " ", "%", PERCENT)
QUESTIONS = (("Who?", "Ada"), ("What is 48 + 37?", "85"), ("Where is Lyon?", "in France"))
PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35]]
DONORS = [[15, 6, 17, 8], [20, 25, 22, 23, 40, 24, 23], [31, 30, 32, 33, 35, 34]]
BUDGET = 10**6
CHECK = Check(cells=4, resamples=200)
METRIC = contrast([5, 9], [6, 7, 8])


def last_three(prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    return torch.tensor([[len(prompt) - back for back in (3, 2, 1)] for prompt in prompts])


def runs(
    base: LanguageModel, donor: LanguageModel | None = None
) -> tuple[ModelInputs, ModelInputs]:
    return ModelInputs(base, PROMPTS, last_three(PROMPTS)), ModelInputs(
        donor or base, DONORS, last_three(DONORS)
    )


def silence(lm: LanguageModel, attention: Sequence[int] = (), mlp: Sequence[int] = ()) -> None:
    """Leave only the named layers' attention and MLP: the others add nothing to the residual
    stream.
    """
    with torch.no_grad():
        for index, layer in enumerate(lm.base().model.layers):
            if index not in attention:
                layer.self_attn.o_proj.weight.zero_()
            if index not in mlp:
                layer.mlp.down_proj.weight.zero_()


def without_final_norm(lm: LanguageModel) -> LanguageModel:
    """The same layers with a linear way from the stream to the logits."""
    lm.base().model.norm = torch.nn.Identity()
    return lm


def assert_scores_are_effects(found: Attribution) -> None:
    for agreement in found.verification.agreements:
        np.testing.assert_allclose(agreement.scores, agreement.effects, rtol=1e-4, atol=1e-5)
        if np.ptp(agreement.effects) > 1e-3:
            assert agreement.slope.value == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("writer", [0, 1, 2, 3])
def test_the_layer_that_writes_is_found_exactly(make_tiny: MakeTiny, writer: int) -> None:
    """Only one layer's MLP computes and tuning changed it alone: every other cell scores
    nothing.
    """
    base, tuned = (make_tiny("llama", "whole_numbers") for _ in range(2))
    for lm in (base, tuned):
        silence(lm, mlp=[writer])
    with torch.no_grad():
        noise = torch.randn((32, 64), generator=torch.Generator().manual_seed(9))
        tuned.base().model.layers[writer].mlp.down_proj.weight.add_(noise)
    numbers = scale_tokens(base.tokenizer, FORMAT)
    prompts = [
        confidence_conversation(base.tokenizer, FORMAT, numbers, q, a).tokens for q, a in QUESTIONS
    ]
    pair = (ModelInputs(lm, prompts, last_three(prompts)) for lm in (base, tuned))
    scores = unverified_scores(
        *pair,
        whole_model(base),
        expected_confidence_of(numbers.trie, 100),
        tokens_per_forward=BUDGET,
    )
    at_end = {component: of[..., -1].numpy() for component, of in scores.of.items()}
    assert np.abs(at_end["mlp_out"][:, writer]).min() > 1e-3
    for component in ("attn_out", "head_out"):
        assert not at_end[component].any()
    assert not np.delete(at_end["mlp_out"], writer, axis=1).any()
    for component, first in (
        ("resid_pre", writer + 1),
        ("resid_mid", writer + 1),
        ("resid_post", writer),
    ):
        assert not at_end[component][:, :first].any()
        expected = np.repeat(at_end["mlp_out"][:, [writer]], 4 - first, axis=1)
        np.testing.assert_allclose(at_end[component][:, first:], expected, rtol=1e-4)
    assert all(not of[..., :-1].any() for of in scores.of.values())


@pytest.mark.parametrize("head", [0, 3])
def test_the_head_that_moves_the_readout_is_found_exactly(make_tiny: MakeTiny, head: int) -> None:
    """One head of layer 2 writes; where the donor differs two tokens earlier, only it and what
    it reads have a score.
    """
    lm = make_tiny("llama")
    silence(lm, attention=[2])
    with torch.no_grad():
        weight = lm.base().model.layers[2].self_attn.o_proj.weight
        kept = weight[:, 8 * head : 8 * head + 8].clone()
        weight.zero_()[:, 8 * head : 8 * head + 8] = kept
    donors = [[*prompt[:-3], 99, *prompt[-2:]] for prompt in PROMPTS]
    pair = (ModelInputs(lm, prompts, last_three(prompts)) for prompts in (PROMPTS, donors))
    of = unverified_scores(*pair, whole_model(lm), METRIC, tokens_per_forward=BUDGET).of
    heads = of["head_out"]
    assert heads[:, 2, head, 2].abs().min() > 1e-3
    heads[:, 2, head, 2] = 0
    assert not heads.any()
    assert not of["mlp_out"].any()
    for layer in range(4):
        earlier = of["resid_pre"][:, layer, 0].abs()
        assert bool((earlier > 1e-4).all()) if layer <= 2 else not earlier.any()
    assert not of["attn_out"][:, [0, 1, 3]].any()


def test_on_a_linear_stream_scores_are_effects_to_rounding(make_tiny: MakeTiny) -> None:
    lm = without_final_norm(make_tiny("llama"))
    silence(lm)
    found = attribute(*runs(lm), whole_model(lm), METRIC, tokens_per_forward=BUDGET, check=CHECK)
    assert_scores_are_effects(found)
    whole = found.scores.donor - found.scores.base
    for component in ("resid_pre", "resid_mid", "resid_post"):
        torch.testing.assert_close(
            found.scores.of[component][..., -1], whole[:, None].expand(-1, 4), rtol=1e-4, atol=1e-5
        )


def test_what_the_last_layer_adds_is_linear_without_the_final_norm(make_tiny: MakeTiny) -> None:
    lm = without_final_norm(make_tiny("llama"))
    found = attribute(
        *runs(lm),
        ComponentSet((3,), ("mlp_out", "resid_post")),
        METRIC,
        tokens_per_forward=BUDGET,
        check=CHECK,
    )
    assert_scores_are_effects(found)
    assert np.abs(found.verification.of("mlp_out", "largest").effects).max() > 0.1


def test_heads_of_a_layer_sum_to_its_attention(make_tiny: MakeTiny) -> None:
    """The output projection has no bias and is linear: gradient and difference go through it
    together.
    """
    scores = unverified_scores(
        *runs(make_tiny("qwen3")),
        ComponentSet((1, 2), ("attn_out", "head_out")),
        METRIC,
        tokens_per_forward=BUDGET,
    )
    torch.testing.assert_close(
        scores.of["head_out"].sum(dim=2), scores.of["attn_out"], rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("steps", [0, 3])
def test_rows_alone_or_in_any_batch(tiny_lm: LanguageModel, steps: int) -> None:
    base, donor = runs(tiny_lm)
    cut = whole_model(tiny_lm)
    whole = unverified_scores(base, donor, cut, METRIC, tokens_per_forward=BUDGET, steps=steps)
    split = unverified_scores(base, donor, cut, METRIC, tokens_per_forward=9, steps=steps)
    torch.testing.assert_close(split.base, whole.base, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(split.donor, whole.donor, rtol=1e-4, atol=1e-5)
    for component, of in whole.of.items():
        torch.testing.assert_close(split.of[component], of, rtol=1e-3, atol=1e-4)


def test_tuned_into_base_and_back_with_one_set_of_weights(make_tiny: MakeTiny) -> None:
    """Adapter on and off equal two models: the adapter merged into one, the other left as it
    was.
    """
    config = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    plain, other = make_tiny("llama"), make_tiny("llama")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        tuned = other.with_model(get_peft_model(other.base(), config).eval())
    reference = make_tiny("llama")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        merged = reference.with_model(
            get_peft_model(reference.base(), config).eval().merge_and_unload()
        )
    positions, cut = last_three(PROMPTS), whole_model(plain)
    off = ModelInputs(tuned, PROMPTS, positions, lambda: adapter_off(tuned))
    on = ModelInputs(tuned, PROMPTS, positions)
    apart = ModelInputs(plain, PROMPTS, positions), ModelInputs(merged, PROMPTS, positions)
    for one, two in (((off, on), apart), ((on, off), apart[::-1])):
        found, expected = (
            attribute(*pair, cut, METRIC, tokens_per_forward=BUDGET, check=CHECK)
            for pair in (one, two)
        )
        for component in cut.components:
            torch.testing.assert_close(
                found.scores.of[component], expected.scores.of[component], rtol=1e-3, atol=1e-4
            )
        for a, b in zip(
            found.verification.agreements, expected.verification.agreements, strict=True
        ):
            np.testing.assert_allclose(a.effects, b.effects, rtol=1e-3, atol=1e-4)


def test_positions_before_an_adapters_reach_are_checked_by_the_loop(make_tiny: MakeTiny) -> None:
    """The packed engine gives such cells to the loop by itself; the others stay packed."""
    lm = make_tiny("llama")
    config = LoraConfig(
        r=4, target_modules=["v_proj"], task_type="CAUSAL_LM", alora_invocation_tokens=[1, 2]
    )
    model = get_peft_model(lm.base(), config).eval()
    generator = torch.Generator().manual_seed(4)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = 0.2 * torch.randn(weight.shape, generator=generator)
    tuned = lm.with_model(model, 2)
    pair, cut = runs(tuned), ComponentSet((1,), ("resid_pre", "attn_out"))
    inside = [ModelInputs(tuned, run.prompts, run.positions[:, 1:]) for run in pair]
    for both in (pair, inside):
        packed, looped = (
            attribute(
                *both,
                cut,
                METRIC,
                tokens_per_forward=BUDGET,
                check=Check(cells=3, resamples=50, engine=engine(name)),
            )
            for name in ("packed", "loop")
        )
        assert np.abs(packed.verification.of("resid_pre", "largest").effects).max() > 1e-3
        for a, b in zip(
            packed.verification.agreements, looped.verification.agreements, strict=True
        ):
            np.testing.assert_allclose(a.effects, b.effects, rtol=1e-4, atol=1e-5)


def test_nodes_behind_the_prompt_are_positions_too(make_tiny: MakeTiny) -> None:
    """Patching the whole number behind the last layer moves everything: its scores, integrated,
    sum to the metrics' gap.
    """
    lm = make_tiny("llama", initializer_range=0.05)
    numbers = scale_tokens(lm.tokenizer, FORMAT)
    metric = expected_confidence_of(numbers.trie, 100)
    prompts = [
        list(confidence_conversation(lm.tokenizer, FORMAT, numbers, q, a).tokens)
        for q, a in QUESTIONS
    ]
    nodes = torch.arange(1 + metric.tree.size)
    positions = torch.tensor([[len(prompt) - 1] for prompt in prompts]) + nodes
    pair = ModelInputs(lm, prompts, positions), ModelInputs(lm, prompts[::-1], positions.flip(0))
    scores = unverified_scores(
        *pair, ComponentSet((3,), ("resid_post",)), metric, tokens_per_forward=BUDGET, steps=12
    )
    summed = scores.of["resid_post"][:, 0].sum(dim=-1)
    assert float((scores.donor - scores.base).abs().max()) > 1e-4
    torch.testing.assert_close(summed.double(), scores.donor - scores.base, rtol=1e-3, atol=1e-6)


def test_the_table_names_every_cell(tiny_lm: LanguageModel) -> None:
    cut = ComponentSet((1, 3), ("attn_out", "head_out"))
    found = attribute(*runs(tiny_lm), cut, METRIC, tokens_per_forward=BUDGET, check=CHECK)
    table = found.table()
    assert len(table) == 2 * 3 + 2 * 4 * 3
    line = table.query("component == 'head_out' and layer == 3 and head == 2 and position == 1")
    cells = found.scores.of["head_out"][:, 1, 2, 1]
    assert line["score"].item() == pytest.approx(float(cells.mean()))
    assert line["size"].item() == pytest.approx(float(cells.abs().mean()))
    assert set(table.query("component == 'attn_out'")["head"]) == {-1}


def test_wrong_runs_are_named(tiny_lm: LanguageModel, make_tiny: MakeTiny) -> None:
    base, donor = runs(tiny_lm)
    cut = whole_model(tiny_lm)
    outside = ModelInputs(tiny_lm, DONORS, last_three(DONORS) + 1)
    with pytest.raises(WorkbenchError, match="outside its prompt"):
        unverified_scores(base, outside, cut, METRIC, tokens_per_forward=BUDGET)
    with pytest.raises(WorkbenchError, match="as many positions"):
        unverified_scores(
            base,
            ModelInputs(tiny_lm, DONORS, donor.positions[:, 1:]),
            cut,
            METRIC,
            tokens_per_forward=BUDGET,
        )
    with pytest.raises(WorkbenchError, match="models of one shape"):
        unverified_scores(
            base,
            runs(make_tiny("llama", num_hidden_layers=3))[1],
            cut,
            METRIC,
            tokens_per_forward=BUDGET,
        )
    with pytest.raises(WorkbenchError, match="not valid for falcon_h1"):
        unverified_scores(
            *runs(make_tiny("falcon_h1")),
            ComponentSet((0,), ("resid_pre",)),
            METRIC,
            tokens_per_forward=BUDGET,
        )
    with pytest.raises(WorkbenchError, match="gpt_neox has no resid_mid"):
        unverified_scores(
            *runs(make_tiny("gpt_neox")),
            ComponentSet((0,), ("resid_mid",)),
            METRIC,
            tokens_per_forward=BUDGET,
        )
    twice = [ModelInputs(run.lm, run.prompts, run.positions[:, [0, 0]]) for run in (base, donor)]
    with pytest.raises(WorkbenchError, match="each position of a row once"):
        unverified_scores(*twice, cut, METRIC, tokens_per_forward=BUDGET, steps=2)


def test_windows_of_neurons_sum_their_neurons_at_all_layers(tiny_lm: LanguageModel) -> None:
    """64 neurons in windows of 10, the last of 4; true patches write whole windows."""
    base, donor = runs(tiny_lm)
    layers = tuple(range(4))
    single = unverified_scores(
        base, donor, ComponentSet(layers, ("neuron",)), METRIC, tokens_per_forward=BUDGET
    ).of["neuron"]
    cut = ComponentSet(layers, ("neuron",), 10)
    found = attribute(
        base, donor, cut, METRIC, tokens_per_forward=BUDGET, check=Check(cells=40, resamples=20)
    )
    windows = found.scores.of["neuron"]
    assert windows.shape == (3, 4, 7, 3)
    for number in range(7):
        expected = single[:, :, 10 * number : 10 * number + 10].sum(dim=2)
        torch.testing.assert_close(windows[:, :, number], expected)
    every = [a for kind in ("largest", "random") for a in [found.verification.of("neuron", kind)]]
    spans = {site.span for agreement in every for site in agreement.sites}
    assert spans == {10, 4}
    assert every[0].rho.value > 0.5
    table = found.table()
    assert sorted(table["head"].unique()) == [0, 10, 20, 30, 40, 50, 60]
    line = table[(table["layer"] == 2) & (table["head"] == 60) & (table["position"] == 1)]
    assert float(line["score"].iloc[0]) == pytest.approx(float(windows[:, 2, 6, 1].mean()))


def test_windows_without_neurons_are_refused() -> None:
    for components, window in ((("mlp_out",), 4), (("neuron",), 0)):
        with pytest.raises(WorkbenchError, match="needs neurons among the components"):
            ComponentSet((0,), components, window)  # type: ignore[arg-type]
