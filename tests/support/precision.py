"""Blocks in which every pass of a model must be made in one precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch

import workbench.loading.load
import workbench.loop.patching
from workbench.models import LanguageModel, Precision, set_precision


class OtherPrecisionError(AssertionError):
    """A pass that was not made in the precision of its run."""


@dataclass
class Watched:
    """What every model loaded inside :func:`only_in` computed.

    Attributes:
        models: how many were loaded.
        products: of linear layers, in the run's precision.
        on_purpose: products in float32 inside :func:`workbench.models.in_float32`, which patching
            alone asks for.
    """

    models: int = 0
    products: int = 0
    on_purpose: int = 0
    widened: bool = False


@contextmanager
def only_in(precision: str, *models: LanguageModel) -> Iterator[Watched]:
    """Inside the block a pass of ``models``, or of any that is loaded, ends in an error unless it
    is made in ``precision``.

    A layer whose matrix is the token embedding keeps that one's dtype; adapters are no part of it.
    """
    found, widen = (
        Watched(),
        workbench.loop.patching.in_float32,
    )
    own: dict[int, bool] = {}
    kept: list[LanguageModel] = []
    multiply = torch.nn.Linear.forward
    wanted = {"float32": (False, torch.float32), "bfloat16": (True, torch.bfloat16)}[precision]

    @contextmanager
    def on_purpose(lm: LanguageModel) -> Iterator[None]:
        found.widened = True
        with widen(lm):
            yield
        found.widened = False

    def watch(lm: LanguageModel) -> None:
        tied = lm.embedding().weight

        own.update(
            {id(m): m.weight is tied for m in lm.base().modules() if isinstance(m, torch.nn.Linear)}
        )
        kept.append(lm)  # so that no other module gets the number of one of these

    def loaded(lm: LanguageModel, given: Precision) -> None:
        set_precision(lm, given)
        found.models += 1
        watch(lm)

    def look(module: torch.nn.Linear, inputs: torch.Tensor) -> torch.Tensor:
        if id(module) in own:
            state = (
                torch.is_autocast_enabled("cpu"),
                wanted[1] if own[id(module)] else module.weight.dtype,
            )
            if found.widened and state == (False, torch.float32):
                found.on_purpose += 1
            elif state == wanted:
                found.products += 1
            else:
                raise OtherPrecisionError(
                    f"A pass of a {precision} run: autocast {state[0]}, a matrix in {state[1]}."
                )
        return multiply(module, inputs)

    for lm in models:
        watch(lm)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workbench.loading.load, "set_precision", loaded)
        patch.setattr(workbench.loop.patching, "in_float32", on_purpose)
        patch.setattr(torch.nn.Linear, "forward", look)
        yield found
