"""An oracle for the backends: every row alone, without padding, its layers written out from the
family's formula.

It shares no code with the backends: no hooks at sites, no changes in place, no batches. A state is
patched by computing the layer with another tensor from there on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.trace.interventions import Branch, Patch, Patched, Readout
from workbench.trace.sites import COMPONENTS, Site

Change = Callable[[Site, Tensor], Tensor]


@dataclass(frozen=True)
class Formula:
    """Names of a layer's norms, empty where the family has none there, and what its additions
    are scaled by.
    """

    before_attention: str = "input_layernorm"
    after_attention: str = ""
    before_mlp: str = "post_attention_layernorm"
    after_mlp: str = ""
    multiplier: str = ""


POST_NORMS = {
    "after_attention": "post_attention_layernorm",
    "after_mlp": "post_feedforward_layernorm",
}
FORMULAS = {
    "llama": Formula(),
    "mistral": Formula(),
    "mixtral": Formula(),
    "qwen2": Formula(),
    "qwen3": Formula(),
    "smollm3": Formula(),
    "starcoder2": Formula(),
    "gpt_oss": Formula(),
    "gemma2": Formula(before_mlp="pre_feedforward_layernorm", **POST_NORMS),
    "gemma3_text": Formula(before_mlp="pre_feedforward_layernorm", **POST_NORMS),
    "olmo2": Formula(before_attention="", before_mlp="", **POST_NORMS),
    "olmo3": Formula(before_attention="", before_mlp="", **POST_NORMS),
    "granite": Formula(multiplier="residual_multiplier"),
}


def _through(layer: Any, name: str, hidden: Tensor) -> Tensor:
    return getattr(layer, name)(hidden) if name else hidden


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


@contextmanager
def _written_out(lm: LanguageModel, change: Change) -> Iterator[None]:
    """The model with each layer computed by its formula, every state going through ``change``."""
    formula = FORMULAS[lm.architecture.family]
    factor = getattr(lm.config, formula.multiplier) if formula.multiplier else 1.0
    size = lm.config.head_dim

    def layer_forward(index: int, layer: Any) -> Callable[..., Tensor]:
        def forward(hidden_states: Tensor, **arguments: Any) -> Tensor:
            pre = change(Site(index, "resid_pre"), hidden_states)
            normed = _through(layer, formula.before_attention, pre)
            attended = _first(layer.self_attn(hidden_states=normed, **arguments))
            added = change(
                Site(index, "attn_out"), _through(layer, formula.after_attention, attended) * factor
            )
            mid = change(Site(index, "resid_mid"), pre + added)
            given = change(Site(index, "mlp_in"), _through(layer, formula.before_mlp, mid))
            computed = _first(layer.mlp(given))
            added = change(
                Site(index, "mlp_out"), _through(layer, formula.after_mlp, computed) * factor
            )
            return change(Site(index, "resid_post"), mid + added)

        return forward

    def projection_forward(index: int, own: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def forward(joined: Tensor) -> Tensor:
            heads = joined.split(size, dim=-1)
            return own(
                torch.cat(
                    [change(Site(index, "head_out", h), part) for h, part in enumerate(heads)],
                    dim=-1,
                )
            )

        return forward

    def part_forward(index: int, name: Any, own: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def forward(normed: Tensor) -> Tensor:
            parts = own(normed).split(size, dim=-1)
            changed = [change(Site(index, name, h), part) for h, part in enumerate(parts)]
            return torch.cat(changed, dim=-1)

        return forward

    def neurons_forward(index: int, own: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def forward(computed: Tensor) -> Tensor:
            parts = computed.split([7, 5, computed.shape[-1] - 12], dim=-1)
            middle = change(Site(index, "neuron", 7, 5), parts[1])
            return own(torch.cat([parts[0], middle, parts[2]], dim=-1))

        return forward

    with ExitStack() as stack:
        for index, layer in enumerate(lm.layers()):
            for name, letter in (("query", "q"), ("key", "k"), ("value", "v")):
                part = layer.get_submodule(f"self_attn.{letter}_proj")
                part.forward = part_forward(index, name, part.forward)
                stack.callback(delattr, part, "forward")
            if hasattr(layer.mlp, "down_proj"):
                down = layer.mlp.down_proj
                down.forward = neurons_forward(index, down.forward)
                stack.callback(delattr, down, "forward")
            projection = layer.get_submodule(lm.architecture.attention_output)
            for module, forward in (
                (layer, layer_forward(index, layer)),
                (projection, projection_forward(index, projection.forward)),
            ):
                module.forward = forward
                stack.callback(delattr, module, "forward")
        yield


def _logits(lm: LanguageModel, tokens: Sequence[int]) -> Tensor:
    with torch.no_grad():
        return (
            lm.base()(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0, -1].float()
        )


class Oracle:
    """The protocol's two methods, one row at a time."""

    def __init__(self, lm: LanguageModel) -> None:
        self.lm = lm

    def record(self, prompts: Any, positions: Any, sites: Sequence[Site]) -> Tensor:
        rows = []
        for tokens, wanted in zip(prompts, positions, strict=True):
            seen: dict[Site, Tensor] = {}

            def look(site: Site, state: Tensor, seen: dict[Site, Tensor] = seen) -> Tensor:
                seen[site] = state[0].clone()
                return state

            with _written_out(self.lm, look):
                _logits(self.lm, tokens)
            rows.append(torch.stack([seen[site][list(wanted)] for site in sites]))
        return torch.stack(rows)

    def patch(self, prompts: Any, branches: Sequence[Branch], readout: Readout) -> Patched:
        base = torch.stack([_logits(self.lm, tokens) for tokens in prompts])
        patched = [
            torch.stack([self._row(tokens, row, branch) for row, tokens in enumerate(prompts)])
            for branch in branches
        ]
        return Patched(readout(base), torch.stack([readout(logits) for logits in patched], dim=1))

    def _row(self, tokens: Sequence[int], row: int, branch: Branch) -> Tensor:
        def change(site: Site, state: Tensor) -> Tensor:
            for patch in branch:
                if patch.site == site:
                    at = torch.arange(state.shape[1]) == patch.positions[row]
                    new = _changed(state, patch, row)
                    state = torch.where(at[:, None], new, state)
            return state

        with _written_out(self.lm, change):
            return _logits(self.lm, tokens)


def _changed(state: Tensor, patch: Patch, row: int) -> Tensor:
    value = patch.value[row]
    if patch.subspace is not None:
        onto = patch.subspace.basis @ patch.subspace.basis.T
        return state - state @ onto + patch.factor * (state @ onto) + value @ onto
    return state + value if patch.mode == "add" else value.expand_as(state)


@dataclass(frozen=True)
class Case:
    """Prompts of different length and what is done to them."""

    prompts: list[list[int]]
    positions: list[list[int]]
    branches: list[list[Patch]]


PROMPTS = [
    [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
    [20, 21, 22, 23],
    [30, 31, 32, 33, 34, 35, 36],
]
SLICED = ("head_out", "query", "key", "value", "neuron")
STREAM = tuple(component for component in COMPONENTS if component not in SLICED)
SITES = [Site(layer, component) for layer in (3, 0, 2) for component in STREAM]
HEADS = [
    *(Site(layer, "head_out", head) for layer in (2, 0) for head in (3, 0, 1)),
    *(Site(layer, "query", head) for layer in (1, 3) for head in (2, 0)),
    *(Site(layer, name, 1) for layer in (3, 0) for name in ("value", "key")),
]
WIDTHS = {"head_out": 8, "query": 8, "key": 8, "value": 8}


def _branches(seed: int) -> list[list[Patch]]:
    generator = torch.Generator().manual_seed(seed)

    def patch(site: Site, positions: list[int], mode: Any = "replace") -> Patch:
        width = site.span if site.component == "neuron" else WIDTHS.get(site.component, 32)
        return Patch(
            site, torch.tensor(positions), torch.randn((3, width), generator=generator), mode
        )

    last, early = [11, 3, 6], [0, 3, 4]
    singles = [Site(1, c) for c in STREAM] + [
        Site(2, "head_out", 3),
        Site(1, "query", 3),
        Site(2, "key", 1),
        Site(0, "value", 0),
        Site(0, "resid_pre"),
        Site(3, "resid_post"),
    ]
    window = [patch(Site(layer, "resid_post"), last) for layer in (2, 0, 1)]
    crowd = [
        patch(Site(2, "mlp_out"), last),
        patch(Site(1, "resid_mid"), last, "add"),
        patch(Site(1, "attn_out"), last),
        patch(Site(2, "resid_pre"), last, "add"),
        patch(Site(1, "resid_post"), last),
        patch(Site(1, "head_out", 0), early),
        patch(Site(1, "head_out", 2), last, "add"),
        patch(Site(1, "value", 1), early),
        patch(Site(1, "query", 0), last, "add"),
        patch(Site(3, "resid_mid"), early),
    ]
    twice = [
        patch(Site(1), early),
        patch(Site(1), last),
        patch(Site(1), early, "add"),
        patch(Site(1), early, "add"),
    ]
    return [
        *([patch(site, early)] for site in singles),
        *([patch(site, last, "add")] for site in singles),
        window,
        crowd,
        twice,
    ]


def _patch_of(site: Site) -> Patch:
    value = torch.randn((3, site.span), generator=torch.Generator().manual_seed(5))
    return Patch(site, torch.tensor([11, 3, 6]), 5 * value)


@pytest.fixture
def case() -> Case:
    """Three left-padded rows, recorded at three positions each, with branches of every component
    and mode.
    """
    return Case(PROMPTS, [[0, 5, 11], [3, 1, 0], [2, 6, 6]], _branches(8))


@pytest.fixture
def agree(case: Case) -> Callable[..., None]:
    """``agree(backend, lm)``: recording and patching equal the oracle's on every site, branch
    and row.
    """

    def check(backend: Any, lm: LanguageModel, tokens_per_forward: int = 8192) -> None:
        oracle = Oracle(lm)
        neurons = [Site(2, "neuron", 7, 5)] if hasattr(lm.layers()[0].mlp, "down_proj") else []
        for sites in filter(None, (SITES, HEADS, neurons)):
            expected = oracle.record(case.prompts, case.positions, sites)
            torch.testing.assert_close(
                backend.record(case.prompts, case.positions, sites), expected, rtol=1e-4, atol=1e-4
            )
        ids = torch.tensor([3, 17, 200])
        branches = [*case.branches, *([_patch_of(site)] for site in neurons)]
        expected = oracle.patch(case.prompts, branches, lambda logits: logits[:, ids])
        found = backend.patch(
            case.prompts,
            branches,
            lambda logits: logits[:, ids],
            tokens_per_forward=tokens_per_forward,
        )
        torch.testing.assert_close(found.base, expected.base, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.patched, expected.patched, rtol=1e-4, atol=1e-4)
        moved = (expected.patched - expected.base[:, None]).abs().amax(dim=(0, 2))
        assert bool((moved > 1e-2).all())

    return check


@pytest.fixture
def oracle() -> Callable[[LanguageModel], Oracle]:
    """``oracle(lm)``: the oracle as a backend."""
    return Oracle
