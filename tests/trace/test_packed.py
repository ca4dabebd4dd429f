from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.support.tiny_models import EAGER, PACKABLE
from tests.support.uneven_rows import LENGTHS, OVERRIDES, ROWS, TREE, some_logits
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace import (
    Branch,
    Patch,
    Site,
    branch_groups,
    loop_branches,
    patch_branches,
    record,
)

MakeTiny = Callable[..., LanguageModel]
CASES = [
    (family, OVERRIDES.get(family, {}), attention)
    for family in PACKABLE
    for attention in ("sdpa", "eager")
    if attention == "eager" or family not in EAGER
]
CASES += [
    ("mistral", {"sliding_window": None}, "sdpa"),
    ("gpt_neox", {"use_parallel_residual": False}, "sdpa"),
]
ORACLES = [
    "llama",
    "qwen3_moe",
    "gpt_oss",
    "granite",
    "gemma2",
    "olmo2",
    "gpt2",
    "gpt_neox",
    "cohere2",
]


def random_patch(site: Site, positions: torch.Tensor, seed: int, mode: Any = "replace") -> Patch:
    value = torch.randn(
        (3, 32 if site.index is None else 8), generator=torch.Generator().manual_seed(seed)
    )
    return Patch(site, positions, value, mode)


def combined() -> list[Branch]:
    """Several sites in a branch, also behind the prompt's end, and both modes at one place."""
    end = LENGTHS - 1
    return [
        [
            random_patch(Site(1), end, 1),
            random_patch(Site(2, "mlp_out"), end - 1, 2),
            random_patch(Site(2), end, 3, "add"),
        ],
        [random_patch(Site(1), LENGTHS + 1, 4), random_patch(Site(0), end, 5)],
        [random_patch(Site(3, "resid_pre"), LENGTHS + 2, 6)],
        [random_patch(Site(2, "head_out", head), end, 7 + head) for head in (0, 3)],
        [
            random_patch(Site(1, "attn_out"), end, 9, "add"),
            random_patch(Site(1, "attn_out"), end, 10, "add"),
        ],
    ]


def largest_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(("family", "overrides", "attention"), CASES)
def test_packed_is_the_loop_at_every_component(
    make_tiny: MakeTiny,
    every_branch: Callable[..., list[Branch]],
    family: str,
    overrides: dict[str, Any],
    attention: str,
) -> None:
    """Rows of unequal length, tokens at unequal distances, nodes behind every end; one pass, and
    many.
    """
    lm = make_tiny(family, **overrides)
    lm.base().set_attn_implementation(attention)
    branches = [*every_branch(lm), *combined()]
    loop = loop_branches(lm, ROWS, branches, some_logits, tokens_per_forward=1000, tree=TREE)
    assert loop.patched.shape == (3, len(branches), 4, 50)
    moved = (loop.patched - loop.base[:, None]).abs().amax(dim=(0, 2, 3))
    # Only earlier tokens patched where no attention follows leave every end alone.
    late = [b for b, move in enumerate(moved) if move < 1e-5]
    assert all(
        patch.site.layer == 3 and (patch.positions < LENGTHS - 1).all()
        for b in late
        for patch in branches[b]
    )
    for budget in (100_000, 150):
        packed = patch_branches(
            lm, ROWS, branches, some_logits, tokens_per_forward=budget, tree=TREE
        )
        assert largest_error(packed.base, loop.base) < 1e-5
        assert largest_error(packed.patched, loop.patched) < 1e-5


@pytest.mark.parametrize("family", ORACLES)
def test_packed_is_plain_hooks_on_unpadded_strings(
    make_tiny: MakeTiny,
    every_branch: Callable[..., list[Branch]],
    by_plain_hooks: Callable[..., torch.Tensor],
    family: str,
) -> None:
    lm = make_tiny(family, **OVERRIDES.get(family, {}))
    branches = [*every_branch(lm), combined()[0], combined()[3]]
    packed = patch_branches(
        lm, ROWS, branches, lambda x: x.float(), tokens_per_forward=400, tree=TREE
    )
    for number, branch in enumerate(branches):
        row = number % 3
        for node, extra in ((0, ()), (2, (40, 41))):
            expected = by_plain_hooks(lm, branch, row, extra)
            assert largest_error(packed.patched[row, number, node], expected) < 2e-5, branch[0].site
    assert largest_error(packed.base[1, 0], by_plain_hooks(lm, [], 1)) < 2e-5


def test_without_a_continuation_the_last_token_is_read(tiny_lm: LanguageModel) -> None:
    branches = combined()[:1]
    short = patch_branches(tiny_lm, ROWS, branches, some_logits, tokens_per_forward=400)
    whole = patch_branches(tiny_lm, ROWS, branches, some_logits, tokens_per_forward=400, tree=TREE)
    assert short.base.shape == (3, 50)
    assert short.patched.shape == (3, 1, 50)
    torch.testing.assert_close(short.patched, whole.patched[:, :, 0], rtol=1e-4, atol=1e-5)


def test_a_state_written_over_itself_changes_nothing(make_tiny: MakeTiny) -> None:
    for family in ("llama", "gemma2", "granite"):
        lm = make_tiny(family, **OVERRIDES.get(family, {}))
        at = LENGTHS - 2
        sites = [
            Site(layer, c)
            for layer in range(4)
            for c in ("resid_pre", "resid_mid", "attn_out", "mlp_out")
        ]
        states = record(lm, ROWS, at[:, None].tolist(), sites)[:, :, 0]
        branches = [[Patch(site, at, states[:, i])] for i, site in enumerate(sites)]
        out = patch_branches(lm, ROWS, branches, some_logits, tokens_per_forward=1000)
        torch.testing.assert_close(
            out.patched, out.base[:, None].expand_as(out.patched), rtol=1e-4, atol=1e-5
        )


class Spy:
    """Sizes [rows, columns] of every pass through a model's decoder, and the layers each
    computes.
    """

    def __init__(self, lm: LanguageModel) -> None:
        self.sizes: list[tuple[int, int]] = []
        self.computed: list[list[int]] = []
        lm.decoder().register_forward_pre_hook(self._enter, with_kwargs=True)
        for number, layer in enumerate(lm.layers()):
            layer.self_attn.register_forward_pre_hook(
                lambda m, a, k, n=number: self.computed[-1].append(n), with_kwargs=True
            )

    def _enter(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        self.sizes.append(tuple(kwargs["input_ids"].shape))
        self.computed.append([])


def test_everything_that_fits_is_one_pass(
    tiny_lm: LanguageModel, every_branch: Callable[..., list[Branch]]
) -> None:
    spy = Spy(tiny_lm)
    patch_branches(
        tiny_lm, ROWS, every_branch(tiny_lm)[:20], some_logits, tokens_per_forward=10_000
    )
    assert len(spy.sizes) == 1


@pytest.mark.parametrize("budget", [60, 150, 400])
def test_passes_stay_under_the_bound(
    tiny_lm: LanguageModel, every_branch: Callable[..., list[Branch]], budget: int
) -> None:
    spy = Spy(tiny_lm)
    patch_branches(
        tiny_lm, ROWS, every_branch(tiny_lm), some_logits, tokens_per_forward=budget, tree=TREE
    )
    assert len(spy.sizes) > 1
    assert max(rows * columns for rows, columns in spy.sizes) <= budget


def test_later_passes_hold_branches_only_and_start_at_the_eldest(
    tiny_lm: LanguageModel, monkeypatch: Any
) -> None:
    """Behind the four layers one branch each: with room for one, passes compute layers 0-3, 2-3,
    3 and none.
    """
    monkeypatch.setattr(branch_groups, "TAIL_COLUMNS", 1)
    spy = Spy(tiny_lm)
    branches = [[random_patch(Site(layer), LENGTHS - 1, layer)] for layer in range(4)]
    found = patch_branches(tiny_lm, ROWS, branches, some_logits, tokens_per_forward=33)
    assert spy.sizes == [(3, 11), (3, 1), (3, 1), (3, 1)]
    assert spy.computed == [[0, 1, 2, 3], [2, 3], [3], []]
    assert not any("forward" in vars(layer) for layer in tiny_lm.layers())
    expected = loop_branches(tiny_lm, ROWS, branches, some_logits, tokens_per_forward=1000)
    torch.testing.assert_close(found.patched, expected.patched, rtol=1e-4, atol=1e-5)


def test_inside_an_adapter_on_and_off(
    tiny_lm: LanguageModel, every_branch: Callable[..., list[Branch]]
) -> None:
    branches = every_branch(tiny_lm)
    plain = patch_branches(tiny_lm, ROWS, branches, some_logits, tokens_per_forward=1000)
    config = LoraConfig(
        r=4, target_modules=["k_proj", "o_proj", "down_proj"], init_lora_weights=False
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        tuned = tiny_lm.with_model(get_peft_model(tiny_lm.base(), config).eval())
    on = patch_branches(tuned, ROWS, branches, some_logits, tokens_per_forward=150)
    loop = loop_branches(tuned, ROWS, branches, some_logits, tokens_per_forward=1000)
    assert largest_error(on.patched, loop.patched) < 1e-5
    assert largest_error(on.base, plain.base) > 1e-2
    with tuned.model.disable_adapter():
        off = patch_branches(tuned, ROWS, branches, some_logits, tokens_per_forward=1000)
    assert largest_error(off.patched, plain.patched) < 1e-5


def test_a_tuned_state_of_every_token_behind_the_last_layer_carries_the_tuned_readout(
    tiny_lm: LanguageModel,
) -> None:
    """base <- tuned and tuned <- base with one model in memory."""
    config = LoraConfig(r=4, target_modules=["down_proj"], init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        tuned = tiny_lm.with_model(get_peft_model(tiny_lm.base(), config).eval())
    at, site = LENGTHS - 1, Site(3)
    high = record(tuned, ROWS, at[:, None].tolist(), [site])[:, 0, 0]
    with tuned.model.disable_adapter():
        low = record(tuned, ROWS, at[:, None].tolist(), [site])[:, 0, 0]
        up = patch_branches(
            tuned, ROWS, [[Patch(site, at, high)]], some_logits, tokens_per_forward=1000
        )
    down = patch_branches(
        tuned, ROWS, [[Patch(site, at, low)]], some_logits, tokens_per_forward=1000
    )
    torch.testing.assert_close(up.patched[:, 0], down.base, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(down.patched[:, 0], up.base, rtol=1e-4, atol=1e-5)


def test_bfloat16_weights_run(
    make_tiny: MakeTiny, every_branch: Callable[..., list[Branch]]
) -> None:
    lm = make_tiny("llama")
    lm.base().to(torch.bfloat16)
    branches = every_branch(lm)
    packed = patch_branches(lm, ROWS, branches, some_logits, tokens_per_forward=150)
    loop = loop_branches(lm, ROWS, branches, some_logits, tokens_per_forward=1000)
    assert largest_error(packed.patched, loop.patched) < 0.1


@pytest.mark.parametrize("engine", [patch_branches, loop_branches])
def test_flash_attention_is_refused_with_the_reason(tiny_lm: LanguageModel, engine: Any) -> None:
    tiny_lm.base().config._attn_implementation = "flash_attention_2"
    spy = Spy(tiny_lm)
    with pytest.raises(
        WorkbenchError, match=r"flash_attention_2.*takes no 4-D mask.*attention='sdpa' or 'eager'"
    ):
        engine(tiny_lm, ROWS, combined()[:1], some_logits, tokens_per_forward=100)
    assert not spy.sizes


@pytest.mark.parametrize("budget", [60, 1000])
def test_branches_before_an_adapters_tokens_are_looped_and_the_others_packed(
    make_tiny: MakeTiny, budget: int
) -> None:
    """The adapter acts on the last two tokens; branches start before them, in them, and both in
    turn, and every one is where it was asked for.
    """
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
    branches = [
        (Patch(Site(1), torch.tensor([len(row) - back for row in ROWS]),
               torch.randn((len(ROWS), 32), generator=generator)),)
        for back in (1, 3, 2, 4)
    ]  # fmt: skip
    spy = Spy(tuned)
    found = patch_branches(tuned, ROWS, branches, some_logits, tokens_per_forward=budget, tree=TREE)
    passes = len(spy.sizes)
    loop = loop_branches(tuned, ROWS, branches, some_logits, tokens_per_forward=1000, tree=TREE)
    assert largest_error(found.base, loop.base) < 1e-4
    assert largest_error(found.patched, loop.patched) < 1e-4
    moved = (found.patched - found.base[:, None]).abs().amax(dim=(0, 2, 3))
    assert bool((moved > 1e-3).all())
    if budget == 1000:
        assert passes == 1 + 3
    with tuned.model.disable_adapter():
        before = len(spy.sizes)
        patch_branches(tuned, ROWS, branches, some_logits, tokens_per_forward=1000, tree=TREE)
        assert len(spy.sizes) == before + 1
