from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.models import LanguageModel
from workbench.trace.hooks import on_inputs, on_outputs

MakeTiny = Callable[..., LanguageModel]
IDS = torch.tensor([[5, 6, 7, 8, 9]])


def logits(lm: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        return lm.base()(input_ids=IDS, use_cache=False).logits


def hook_counts(lm: LanguageModel) -> list[tuple[int, int]]:
    return [(len(layer._forward_hooks), len(layer._forward_pre_hooks)) for layer in lm.layers()]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gpt_oss"])
def test_a_transform_is_the_layers_new_output(make_tiny: MakeTiny, family: str) -> None:
    """Doubling what a layer hands on equals doubling what the next layer is given, tensors and
    tuples alike.
    """
    lm = make_tiny(family)

    def double(
        args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (args[0] * 2, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": kwargs["hidden_states"] * 2}

    before = logits(lm)
    with on_outputs(lm, {1: lambda hidden: hidden * 2}):
        doubled = logits(lm)
    with on_inputs(lm, {2: double}):
        assert torch.equal(logits(lm), doubled)
    assert (doubled - before).abs().max() > 1e-3
    assert torch.equal(logits(lm), before)


def test_the_transform_sees_the_residual_stream_behind_its_layer(tiny_lm: LanguageModel) -> None:
    seen: dict[int, torch.Tensor] = {}

    def keep(layer: int) -> Callable[[torch.Tensor], torch.Tensor]:
        def transform(hidden: torch.Tensor) -> torch.Tensor:
            seen[layer] = hidden.clone()
            return hidden

        return transform

    with on_outputs(tiny_lm, {layer: keep(layer) for layer in range(4)}):
        logits(tiny_lm)
    with torch.no_grad():
        states = tiny_lm.base()(input_ids=IDS, output_hidden_states=True).hidden_states
    for layer in range(3):
        assert torch.equal(seen[layer], states[layer + 1])
    torch.testing.assert_close(tiny_lm.final_norm()(seen[3]), states[4])


def test_only_its_own_hooks_are_removed(tiny_lm: LanguageModel) -> None:
    fired: list[int] = []
    foreign = tiny_lm.layers()[1].register_forward_hook(lambda *_: fired.append(1))
    before = hook_counts(tiny_lm)
    with (
        on_outputs(tiny_lm, {1: lambda h: h, 2: lambda h: h}),
        on_inputs(tiny_lm, {1: lambda a, k: (a, k)}),
    ):
        assert hook_counts(tiny_lm) == [(0, 0), (2, 1), (1, 0), (0, 0)]
        logits(tiny_lm)
    assert hook_counts(tiny_lm) == before == [(0, 0), (1, 0), (0, 0), (0, 0)]
    logits(tiny_lm)
    assert len(fired) == 2
    foreign.remove()


@pytest.mark.parametrize("place", ["body", "transform", "registration"])
def test_hooks_go_when_something_fails(tiny_lm: LanguageModel, place: str) -> None:
    fired: list[int] = []
    foreign = tiny_lm.layers()[0].register_forward_hook(lambda *_: fired.append(1))
    before = hook_counts(tiny_lm)

    def transform(hidden: torch.Tensor) -> torch.Tensor:
        if place == "transform":
            raise KeyError(place)
        return hidden

    transforms = {0: transform, 3: transform, **({4: transform} if place == "registration" else {})}

    def run() -> None:
        with on_outputs(tiny_lm, transforms):
            logits(tiny_lm)
            raise KeyError(place)

    with pytest.raises((KeyError, IndexError)):
        run()
    assert hook_counts(tiny_lm) == before
    logits(tiny_lm)
    assert fired
    foreign.remove()
