"""Patches within and without a subspace against hooks written by hand, the loop, and what must hold
of any projection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from tests.support.recurrent_models import build_recurrent
from tests.support.uneven_rows import LENGTHS, MIXED, ROWS
from workbench.models import LanguageModel
from workbench.models.components import missing_component_reason
from workbench.trace import (
    COMPONENTS,
    Branch,
    Patch,
    Site,
    Subspace,
    TokenTree,
    loop_branches,
    patch_branches,
    record,
)
from workbench.trace.checks import site_width

MakeTiny = Callable[..., LanguageModel]
TREE = TokenTree((40, 41), (-1, 0))
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "gemma2": MIXED,
    "gemma3_text": MIXED,
    "gpt_neox": {},
    "qwen3": {},
    "mistral": {"sliding_window": 5},
    "olmoe": EXPERTS,
    "gpt2": {},
    "granite": {"residual_multiplier": 0.3},
}
RECURRENT = ("falcon_h1", "qwen3_next")
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def logits(found: Tensor) -> Tensor:
    return found.float()


def projector(basis: Tensor) -> Tensor:
    """A (A^T A)^-1 A^T, of any basis A, in double precision."""
    wide = basis.double()
    return wide @ torch.linalg.inv(wide.T @ wide) @ wide.T


def by_hand(
    lm: LanguageModel, tokens: Sequence[int], changes: dict[tuple[int, int], Callable[..., Tensor]]
) -> Tensor:
    """Next-token logits of one unpadded string; ``changes`` by layer and token of the states that
    layers return.
    """

    def hook_of(layer: int) -> Callable[..., Any]:
        def hook(module: Any, args: Any, output: Any) -> Any:
            states = (output[0] if isinstance(output, tuple) else output).clone()
            for (at, token), change in changes.items():
                if at == layer:
                    states[:, token] = change(states[0, token].double()).float()
            return (states, *output[1:]) if isinstance(output, tuple) else states

        return hook

    handles = [
        layer.register_forward_hook(hook_of(number)) for number, layer in enumerate(lm.layers())
    ]
    with torch.no_grad():
        found = lm.base()(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0, -1]
    for handle in handles:
        handle.remove()
    return found.float()


Formula = Callable[[Tensor, Tensor, Tensor], Tensor]


def of_row(formula: Formula, value: Tensor, onto: Tensor, state: Tensor, row: int) -> Tensor:
    return formula(state, value[row], onto)


KINDS: list[tuple[str, float, bool, Formula]] = [
    ("within", 0.0, True, lambda x, v, p: x - p @ x + p @ v),
    ("within", -1.5, False, lambda x, v, p: x - p @ x - 1.5 * (p @ x)),
    ("within", 1.0, True, lambda x, v, p: x + p @ v),
    ("without", 0.0, False, lambda x, v, p: x - p @ x),
    ("without", 0.0, True, lambda x, v, p: x - p @ x + p @ v),
]
"""Mode, factor, whether a value is given, and the new state by textbook of state, value and
projector.
"""


def patch_of(site: Site, kind: int, basis: Tensor, positions: Tensor, value: Tensor) -> Patch:
    mode, factor, given, _ = KINDS[kind]
    space: Any = {"mode": mode, "subspace": Subspace(basis), "factor": factor}
    return Patch(site, positions, value, **space) if given else Patch(site, positions, **space)


def check_by_hand(
    lm: LanguageModel, prompts: list[list[int]], layers: Sequence[int] = range(4)
) -> None:
    """Every kind at each of ``layers``, of one and of three dimensions, and two layers with a replacement
    between them.
    """
    rows = len(prompts)
    ends = torch.tensor([len(prompt) - 1 for prompt in prompts])
    cases: list[tuple[Branch, list[tuple[int, Tensor, Callable[..., Tensor]]]]] = []
    for layer in layers:
        for kind, (_, _, _, formula) in enumerate(KINDS):
            basis = 3 * draw(32, 3 if (layer + kind) % 2 else 1, seed=10 * layer + kind)
            value, back = draw(rows, 32, seed=99 + layer), kind % 2
            patch = patch_of(Site(layer), kind, basis, ends - back, value)
            change = partial(of_row, formula, value.double(), projector(basis))
            cases.append(([patch], [(layer, ends - back, change)]))
    direction, value = draw(32, seed=5), draw(rows, 32, seed=6)
    outer = projector(direction[:, None])
    swap = Patch(Site(1), ends, value, "within", Subspace(direction))
    out = Patch(Site(3, "resid_pre"), ends, mode="without", subspace=Subspace(direction))
    cases.append(
        (
            [swap, out],
            [
                (1, ends, lambda x, row: x + outer @ (value[row].double() - x)),
                (2, ends, lambda x, row: x - outer @ x),
            ],
        )
    )
    branches = [branch for branch, _ in cases]
    packed, loop = (
        run(lm, prompts, branches, logits, tokens_per_forward=300)
        for run in (patch_branches, loop_branches)
    )
    torch.testing.assert_close(packed.patched, loop.patched, **CLOSE)
    for number, (_, changes) in enumerate(cases):
        for row, prompt in enumerate(prompts):
            made = {
                (layer, int(at[row])): (lambda x, row=row, c=change: c(x, row))
                for layer, at, change in changes
            }
            expected = by_hand(lm, prompt, made)
            torch.testing.assert_close(packed.patched[row, number], expected, **CLOSE)
    moved = (packed.patched - packed.base[:, None]).abs().amax(dim=(0, 2))
    assert bool((moved[[not bool(n % 5 % 2) for n in range(len(cases))]] > 1e-3).all())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_subspace_is_changed_as_by_a_hook_written_by_hand(
    make_tiny: MakeTiny, family: str
) -> None:
    check_by_hand(make_tiny(family, **FAMILIES[family]), ROWS)


@pytest.mark.parametrize("family", RECURRENT)
@pytest.mark.filterwarnings("ignore:.*(rows of equal length|whole string):UserWarning")
def test_and_so_it_is_in_families_that_continue_from_states(family: str) -> None:
    check_by_hand(
        build_recurrent(family), [list(range(5, 21)), list(range(60, 76)), ROWS[2]], (0, 3)
    )


def every_component(lm: LanguageModel, backs: Sequence[int] = (1, -1, 3)) -> list[Branch]:
    """At every layer and component a patch, of all kinds in turn, so many tokens before the first
    node; and several patches at one place.
    """
    out: list[Branch] = []
    for layer in range(4):
        for number, component in enumerate(COMPONENTS):
            if missing_component_reason(lm, component):
                continue
            sliced = component in ("head_out", "query", "key", "value", "neuron")
            span = 6 if component == "neuron" else 1
            site = Site(layer, component, layer % 2 if sliced else None, span)
            width, kind = site_width(lm, site), (layer + number) % len(KINDS)
            basis, value = draw(width, 2, seed=layer), draw(3, width, seed=number)
            back = backs[(layer + number) % len(backs)]
            out.append([patch_of(site, kind, basis, LENGTHS - back, value)])
    first, second = Subspace(draw(32, seed=1)), Subspace(draw(32, 2, seed=2))
    value, end = draw(3, 32, seed=3), LENGTHS - 1
    add = Patch(Site(1), end, value, "add")
    return [
        *out,
        [Patch(Site(1), end, value, "within", first), add],
        [add, Patch(Site(1), end, value, "within", first)],
        [add, Patch(Site(1), end, mode="without", subspace=second)],
        [Patch(Site(1), end, value, "within", first, 0.5) for _ in range(2)],
    ]


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_neox", "olmoe", "granite"])
def test_packed_is_the_loop_at_every_component(make_tiny: MakeTiny, family: str) -> None:
    """Rows of unequal length with a tree after them, in one pass and in many."""
    lm = make_tiny(family, **FAMILIES[family])
    branches = every_component(lm)
    loop = loop_branches(lm, ROWS, branches, logits, tokens_per_forward=1000, tree=TREE)
    moved = (loop.patched - loop.base[:, None]).abs().amax(dim=(0, 2, 3))
    assert int((moved > 1e-3).sum()) > len(branches) * 0.8
    assert not torch.allclose(loop.patched[:, -4], loop.patched[:, -3], **CLOSE)
    for budget in (100_000, 150):
        packed = patch_branches(lm, ROWS, branches, logits, tokens_per_forward=budget, tree=TREE)
        torch.testing.assert_close(packed.base, loop.base, **CLOSE)
        torch.testing.assert_close(packed.patched, loop.patched, **CLOSE)


@pytest.mark.filterwarnings("ignore:.*(rows of equal length|whole string):UserWarning")
def test_forks_are_the_loop_at_every_component() -> None:
    lm = build_recurrent("falcon_h1")
    branches = every_component(lm)[::5]
    loop, forks = (
        run(lm, ROWS, branches, logits, tokens_per_forward=400, tree=TREE)
        for run in (loop_branches, patch_branches)
    )
    torch.testing.assert_close(forks.patched, loop.patched, **CLOSE)


def patched(lm: LanguageModel, *branches: Branch) -> Tensor:
    return patch_branches(lm, ROWS, branches, logits, tokens_per_forward=1000).patched


def test_what_holds_of_projections_holds_of_patches(make_tiny: MakeTiny) -> None:
    for family in ("llama", "gemma2"):
        lm = make_tiny(family, **FAMILIES[family])
        site, end, value = Site(1), LENGTHS - 1, draw(3, 32, seed=4)
        plain = draw(32, 3, seed=7)
        span, whole = Subspace(plain), Subspace(draw(32, 32, seed=8))
        own = record(lm, ROWS, end[:, None].tolist(), [site])[:, 0, 0]
        out = Patch(site, end, mode="without", subspace=span)
        mixed = plain @ torch.tensor([[2.0, 1.0, 0.0], [0.0, -3.0, 1.0], [0.0, 0.0, 0.5]])
        found = patched(
            lm,
            [Patch(site, end, value, "within", whole)],
            [Patch(site, end, value)],
            [out],
            [out, out],
            [Patch(site, end, own, "within", span)],
            [out, Patch(site, end, span.project(own), "add")],
            [Patch(site, end, value, "within", span)],
            [Patch(site, end, value, "within", Subspace(mixed))],
            [Patch(site, end, span.states(span.coordinates(value)), "within", span)],
            [Patch(site, end, mode="within", subspace=span, factor=1.0)],
        )
        base = patch_branches(lm, ROWS, [[out]], logits, tokens_per_forward=1000).base
        torch.testing.assert_close(found[:, 0], found[:, 1], **CLOSE)
        torch.testing.assert_close(found[:, 2], found[:, 3], **CLOSE)
        torch.testing.assert_close(found[:, 4], base, **CLOSE)
        torch.testing.assert_close(found[:, 5], base, **CLOSE)
        torch.testing.assert_close(found[:, 6], found[:, 7], **CLOSE)
        torch.testing.assert_close(found[:, 6], found[:, 8], **CLOSE)
        torch.testing.assert_close(found[:, 9], base, **CLOSE)
        for one, other in ((1, 6), (2, 6), (1, 2)):
            assert float((found[:, one] - found[:, other]).abs().max()) > 1e-2


def test_inside_an_adapter_on_and_off(tiny_lm: LanguageModel) -> None:
    branches = every_component(tiny_lm, (1, 3))
    plain = patched(tiny_lm, *branches)
    config = LoraConfig(r=4, target_modules=["k_proj", "down_proj"], init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        tuned = tiny_lm.with_model(get_peft_model(tiny_lm.base(), config).eval())
    loop = loop_branches(tuned, ROWS, branches, logits, tokens_per_forward=1000)
    torch.testing.assert_close(patched(tuned, *branches), loop.patched, **CLOSE)
    assert float((loop.patched - plain).abs().max()) > 1e-2
    with tuned.model.disable_adapter():
        torch.testing.assert_close(patched(tuned, *branches), plain, **CLOSE)
