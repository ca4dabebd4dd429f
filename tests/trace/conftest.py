"""Branches at every component, and an oracle for them: plain hooks on unpadded strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from tests.support.uneven_rows import ROWS
from workbench.models import LanguageModel
from workbench.models.components import missing_component_reason
from workbench.trace import COMPONENTS, Branch, Patch, Site
from workbench.trace.checks import site_width

# Attention, MLP (as added to the stream), output projection and the factor on what is added, apart
# from the table of rows.
PARTS = {
    "llama": ("self_attn", "mlp", "self_attn.o_proj", 1.0),
    "qwen3_moe": ("self_attn", "mlp", "self_attn.o_proj", 1.0),
    "gpt_oss": ("self_attn", "mlp", "self_attn.o_proj", 1.0),
    "granite": ("self_attn", "mlp", "self_attn.o_proj", 0.3),
    "gemma2": ("post_attention_layernorm", "post_feedforward_layernorm", "self_attn.o_proj", 1.0),
    "olmo2": ("post_attention_layernorm", "post_feedforward_layernorm", "self_attn.o_proj", 1.0),
    "gpt2": ("attn", "mlp", "attn.c_proj", 1.0),
    "gpt_neox": ("attention", "mlp", "attention.dense", 1.0),
    "cohere2": ("self_attn", "mlp", "self_attn.o_proj", 1.0),
}


NEURONS = {
    **dict.fromkeys(("llama", "granite", "gemma2", "olmo2", "cohere2"), "mlp.down_proj"),
    "gpt2": "mlp.c_proj",
    "gpt_neox": "mlp.dense_4h_to_h",
}


def build_branches(
    lm: LanguageModel, backs: Sequence[Sequence[int]] = ((1, 1, 1), (4, 3, 5)), seed: int = 0
) -> list[Branch]:
    """At every layer and component one branch per entry of ``backs`` (tokens from each row's
    end); even ones add.
    """
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([len(row) for row in ROWS])
    out: list[Branch] = []
    for layer in range(lm.n_layers):
        for component in COMPONENTS:
            if missing_component_reason(lm, component):
                continue
            keys = lm.n_key_value_heads
            index = {"head_out": layer, "query": layer, "key": layer % keys, "value": layer % keys}
            site = Site(layer, component, 7 if component == "neuron" else index.get(component))
            if component == "neuron" and layer % 2:
                site = Site(layer, component, 7, 5)
            width = site_width(lm, site)
            for number, back in enumerate(backs):
                value = torch.randn((len(ROWS), width), generator=generator)
                out.append(
                    [
                        Patch(
                            site,
                            lengths - torch.tensor(back),
                            value,
                            "add" if number % 2 else "replace",
                        )
                    ]
                )
    return out


def alone(lm: LanguageModel, branch: Branch, row: int, extra: Sequence[int] = ()) -> torch.Tensor:
    """[vocab] next-token logits of one unpadded string under the model's own masks, the patches
    by plain hooks.
    """
    handles = []
    for patch in branch:
        handles += _plain_hooks(lm, patch, row)
    with torch.no_grad():
        logits = (
            lm.base()(input_ids=torch.tensor([[*ROWS[row], *extra]]), use_cache=False)
            .logits[0, -1]
            .float()
        )
    for handle in handles:
        handle.remove()
    return logits


def _plain_hooks(lm: LanguageModel, patch: Patch, row: int) -> list[Any]:
    attention, mlp, output, factor = PARTS[lm.architecture.family]
    layer = lm.base().get_submodule(lm.architecture.layers)[patch.site.layer]
    at, value = int(patch.positions[row]), patch.value[row]

    def put(states: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        states = states.clone()
        states[:, at] = states[:, at] + new if patch.mode == "add" else new
        return states

    def output_hook(new: Callable[[], torch.Tensor]) -> Callable[..., Any]:
        def hook(module: Any, args: Any, out: Any) -> Any:
            return (put(out[0], new()), *out[1:]) if isinstance(out, tuple) else put(out, new())

        return hook

    kind = patch.site.component
    if kind == "resid_pre":
        return [
            layer.register_forward_pre_hook(lambda module, args: (put(args[0], value), *args[1:]))
        ]
    if kind == "resid_post":
        return [layer.register_forward_hook(output_hook(lambda: value))]
    if kind == "mlp_out":
        return [layer.get_submodule(mlp).register_forward_hook(output_hook(lambda: value / factor))]
    if kind == "attn_out":
        return [
            layer.get_submodule(attention).register_forward_hook(
                output_hook(lambda: value / factor)
            )
        ]
    if kind == "resid_mid":
        # Whatever makes the sum of stream and attention come out as asked for.
        seen: list[torch.Tensor] = []
        keep = layer.register_forward_pre_hook(
            lambda module, args: seen.append(args[0][:, at].clone())
        )
        gap = (
            (lambda: value / factor)
            if patch.mode == "add"
            else (lambda: (value - seen[-1]) / factor)
        )
        return [keep, layer.get_submodule(attention).register_forward_hook(output_hook(gap))]
    if kind == "mlp_in":
        given = layer.get_submodule("mlp")
        return [
            given.register_forward_pre_hook(lambda module, args: (put(args[0], value), *args[1:]))
        ]
    size, index = lm.head_size, patch.site.index
    assert index is not None
    if kind in ("query", "key", "value"):
        name, first = _projection(lm, kind, index)
        return [layer.get_submodule(name).register_forward_hook(_part_hook(patch, row, first))]
    if kind == "neuron":
        output, size = NEURONS[lm.architecture.family], 1
    head = slice(index * size, (index + patch.site.span) * size)

    def head_hook(module: Any, args: Any) -> Any:
        states = args[0].clone()
        states[:, at, head] = states[:, at, head] + value if patch.mode == "add" else value
        return (states, *args[1:])

    return [layer.get_submodule(output).register_forward_pre_hook(head_hook)]


def _projection(lm: LanguageModel, kind: str, index: int) -> tuple[str, int]:
    """The module that computes a query, key or value, and the slice's first entry in its output."""
    size, place = lm.head_size, ("query", "key", "value").index(kind)
    if lm.architecture.family == "gpt2":
        return "attn.c_attn", place * lm.width + index * size
    if lm.architecture.family == "gpt_neox":
        return "attention.query_key_value", (3 * index + place) * size
    return f"self_attn.{'qkv'[place]}_proj", index * size


def _part_hook(patch: Patch, row: int, first: int) -> Callable[..., torch.Tensor]:
    at, value = int(patch.positions[row]), patch.value[row]

    def hook(module: Any, args: Any, out: torch.Tensor) -> torch.Tensor:
        out, part = out.clone(), slice(first, first + len(value))
        out[:, at, part] = out[:, at, part] + value if patch.mode == "add" else value
        return out

    return hook


@pytest.fixture
def every_branch() -> Callable[..., list[Branch]]:
    """``every_branch(lm)``: branches at every layer and component for the prompts ``ROWS``."""
    return build_branches


@pytest.fixture
def by_plain_hooks() -> Callable[..., torch.Tensor]:
    """``by_plain_hooks(lm, branch, row, extra)``: logits of one unpadded string."""
    return alone
