from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.support.tiny_models import PACKABLE as FAMILIES
from workbench.elicit.trie import build_trie
from workbench.models import LanguageModel
from workbench.models.slices import SLICED, slices_of
from workbench.patch.components import ComponentSet, states_at, whole_model
from workbench.patch.gradients import gradient_times_difference
from workbench.patch.inputs import Batch, ModelInputs, batch_of
from workbench.patch.metrics import Metric, contrast, expected_confidence_of
from workbench.trace.backends import PACKED, Engine, engine
from workbench.trace.edits import SiteKey
from workbench.trace.interventions import Patch
from workbench.trace.sites import COMPONENTS, Site

MakeTiny = Callable[..., LanguageModel]
PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35, 36]]
POSITIONS = torch.tensor([[2, 6, 9], [0, 2, 3], [1, 4, 6]])
DIGITS = build_trie(
    [[40 + d] for d in range(10)] + [[40 + d, 40 + e] for d in range(1, 10) for e in range(10)],
    range(100),
)
STEP = 1e-3
# A step over the border between two experts is a jump, which no gradient sees.
EVERY_EXPERT = {
    family: {"num_experts_per_tok": 4} for family in ("mixtral", "qwen3_moe", "gpt_oss")
}


def batch(lm: LanguageModel, metric: Metric) -> Batch:
    return batch_of(ModelInputs(lm, PROMPTS, POSITIONS), torch.arange(3), metric.tree)


def moved_states(bases: dict[SiteKey, torch.Tensor]) -> dict[SiteKey, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        at: base + torch.randn(base.shape, generator=generator).to(base)
        for at, base in bases.items()
    }


def central_difference(
    lm: LanguageModel,
    metric: Metric,
    at: SiteKey,
    base: torch.Tensor,
    donor: torch.Tensor,
    run: Engine = PACKED,
) -> torch.Tensor:
    """[rows, heads or 1, n] slope of the metric along the way from base to donor, by true
    patches a little to either side.
    """
    layer, component = at
    slices = slices_of(lm, component)
    states = [base + sign * STEP * (donor - base) for sign in (1, -1)]
    states = [s[:, :, None] if slices is None else slices.split(s) for s in states]
    heads = range(states[0].shape[2])
    sites = [Site(layer, component, None if slices is None else head) for head in heads]
    branches = [
        (Patch(site, POSITIONS[:, n], state[:, n, head].clone()),)
        for state in states
        for head, site in enumerate(sites)
        for n in range(POSITIONS.shape[1])
    ]
    out = run(lm).patch(
        PROMPTS, branches, metric.readout, tokens_per_forward=10**6, tree=metric.tree
    )
    values = torch.stack(
        [metric.of_reduced(out.patched[:, index]) for index in range(len(branches))], dim=1
    )
    above, below = values.double().unflatten(1, (2, len(sites), -1)).unbind(1)
    return (above - below) / (2 * STEP)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_slopes_of_true_patches(make_tiny: MakeTiny, family: str) -> None:
    """Every component and head of all layers, rows of different length, the whole number trie
    behind the prompt.
    """
    lm = make_tiny(family, **EVERY_EXPERT.get(family, {}))
    # Fused expert kernels take no float64.
    lm.base().set_experts_implementation("eager")
    lm.base().double()
    metric = expected_confidence_of(DIGITS, 99)
    cut = whole_model(lm, tuple(name for name in COMPONENTS if name != "neuron"))
    _, bases = states_at(lm, batch(lm, metric), cut.places())
    donors = moved_states(bases)
    _, found = gradient_times_difference(lm, batch(lm, metric), cut, metric, dict(donors))
    assert set(found) == set(cut.places())
    largest = max(float(score.abs().max()) for score in found.values())
    assert largest > 1e-3
    for at, score in found.items():
        slope = central_difference(lm, metric, at, bases[at], donors[at])
        expected = slope if at[1] in SLICED else slope[:, 0]
        torch.testing.assert_close(score.double(), expected, rtol=1e-2, atol=2e-3 * largest)


def test_every_neuron_has_a_score(make_tiny: MakeTiny) -> None:
    lm, metric = make_tiny("llama"), contrast([5], [6])
    lm.base().double()
    cut = ComponentSet((2,), ("neuron",))
    _, bases = states_at(lm, batch(lm, metric), cut.places())
    donors = moved_states(bases)
    _, found = gradient_times_difference(lm, batch(lm, metric), cut, metric, dict(donors))
    [(at, score)] = found.items()
    assert score.shape == (3, lm.mlp_width, POSITIONS.shape[1])
    slope = central_difference(lm, metric, at, bases[at], donors[at])
    largest = float(slope.abs().max())
    assert largest > 1e-3
    torch.testing.assert_close(score.double(), slope, rtol=1e-2, atol=2e-3 * largest)


def test_scores_through_an_adapter_with_a_reach(make_tiny: MakeTiny) -> None:
    """It acts on each prompt's last three tokens and on the number's, and the gradient sees it
    there.
    """
    lm = make_tiny("llama")
    lm.base().double()
    modules = ["q_proj", "v_proj", "o_proj", "down_proj"]
    config = LoraConfig(
        r=4, target_modules=modules, task_type="CAUSAL_LM", alora_invocation_tokens=[1, 2, 3]
    )
    model = get_peft_model(lm.base(), config).eval()
    generator = torch.Generator().manual_seed(4)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = (0.2 * torch.randn(weight.shape, generator=generator)).double()
    tuned, metric = lm.with_model(model, 3), expected_confidence_of(DIGITS, 99)
    cut = whole_model(tuned)
    _, bases = states_at(tuned, batch(tuned, metric), cut.places())
    donors = moved_states(bases)
    value, found = gradient_times_difference(tuned, batch(tuned, metric), cut, metric, dict(donors))
    with tuned.model.disable_adapter():
        plain, _ = gradient_times_difference(tuned, batch(tuned, metric), cut, metric, dict(donors))
    assert float((value - plain).abs().min()) > 1e-4
    largest = max(float(score.abs().max()) for score in found.values())
    for at, score in found.items():
        slope = central_difference(tuned, metric, at, bases[at], donors[at], engine("loop"))
        expected = slope if at[1] in SLICED else slope[:, 0]
        torch.testing.assert_close(score.double(), expected, rtol=1e-2, atol=2e-3 * largest)


def test_only_the_layers_asked_for_are_differentiated(make_tiny: MakeTiny) -> None:
    lm, metric = make_tiny("llama"), contrast([5], [6, 7])
    whole, part = whole_model(lm), ComponentSet((2, 3), ("resid_pre", "attn_out", "head_out"))
    _, bases = states_at(lm, batch(lm, metric), whole.places())
    donors = moved_states(bases)
    value, everything = gradient_times_difference(
        lm, batch(lm, metric), whole, metric, dict(donors)
    )
    few = {at: donors[at] for at in part.places()}
    again, some = gradient_times_difference(lm, batch(lm, metric), part, metric, few)
    assert not few
    torch.testing.assert_close(again, value)
    for at in part.places():
        torch.testing.assert_close(some[at], everything[at])


def test_no_weight_is_given_a_gradient_and_no_hook_stays(make_tiny: MakeTiny) -> None:
    """A trainable adapter: its weights require gradients, and get none."""
    lm = make_tiny("llama")
    config = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    tuned = lm.with_model(get_peft_model(lm.base(), config).eval())
    metric, cut = contrast([5], [6]), whole_model(tuned)
    _, donors = states_at(tuned, batch(tuned, metric), cut.places())
    gradient_times_difference(tuned, batch(tuned, metric), cut, metric, moved_states(donors))
    assert any(weight.requires_grad for weight in tuned.model.parameters())
    assert all(weight.grad is None for weight in tuned.model.parameters())
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in tuned.base().modules()
    )
