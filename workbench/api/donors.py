"""Define donors: whose state is written into a prompt's run.

Donor prompts give the states of other prompts in the same model. Another model of the same shape,
an adapter's folder or a tuned model give the states of the same prompts there. An ablation writes
nothing of another run: zeros, the mean over all other prompts, the prompt's own state with Gaussian
noise, or one vector for all. A plain model is run with its own weights alone, even if an adapter
has been put into them since, and a model with an adapter is run with it. So both may share one set
of weights.

What a knock-out shows depends on what is written: zeros may lie far outside of what a model ever
computes, the mean keeps what all prompts share.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor

from workbench.api.prompts import PromptTokens, encode_prompts, show_tokens
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.ablation_values import mean_of_others, zeros
from workbench.teach.adapter import load_adapter, remove_adapter

Mode = Literal["replace", "add"]
_KINDS = ("zero", "mean")


@dataclass(frozen=True)
class Ablation:
    """A donor of zeros, or of the mean of all other prompts' states at the same place.

    Raises:
        WorkbenchError: for another kind.
    """

    kind: Literal["zero", "mean"]

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise WorkbenchError(f"An ablation is {' or '.join(_KINDS)}, not {self.kind!r}.")


@dataclass(frozen=True)
class Noise:
    """A donor of the prompt's own state plus Gaussian noise of ``scale`` times the standard
    deviation of its entries over all prompts and places.
    """

    scale: float = 3.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Vector:
    """A donor of one ``value`` [width] (head size for heads), which replaces the state or is added
    to it.
    """

    value: Any
    mode: Mode = "replace"


@dataclass(frozen=True, eq=False)
class ModelPrompts:
    """Prompts as one model runs them."""

    lm: LanguageModel
    prompts: PromptTokens


Donor = ModelPrompts | Ablation | Noise | Vector


@contextmanager
def open_donor(lm: LanguageModel, donor: Any, prompts: PromptTokens) -> Iterator[Donor]:
    """Yield what ``donor`` names for ``prompts`` in ``lm``. An adapter read from a folder is
    removed again at the end of the block.

    Raises:
        WorkbenchError: for no donor, a model of another shape or vocabulary, the model itself, and
            donor prompts that are another number of prompts, or the prompts themselves.
    """
    if isinstance(donor, Ablation | Noise | Vector):
        yield donor
    elif isinstance(donor, torch.Tensor | np.ndarray) and donor.dtype in (
        torch.float32,
        torch.float64,
        torch.bfloat16,
        torch.float16,
        np.dtype("float32"),
        np.dtype("float64"),
    ):
        yield Vector(donor)
    elif isinstance(donor, LanguageModel):
        _require_other(lm, donor)
        yield ModelPrompts(donor, prompts)
    elif isinstance(donor, Path):
        tuned = load_adapter(lm, donor)
        try:
            yield ModelPrompts(tuned, prompts)
        finally:
            remove_adapter(tuned)
    elif donor is None:
        raise WorkbenchError(
            "A patch needs a donor: other prompts, another model, an adapter's folder (a Path), an "
            "Ablation, Noise or a Vector."
        )
    else:
        yield ModelPrompts(lm, _donor_prompts(lm, donor, prompts))


@contextmanager
def run_as_named(lm: LanguageModel) -> Iterator[None]:
    """Run passes with the weights that ``lm`` names: adapters inside a plain model are off in the
    block.
    """
    layers = [module for module in lm.model.modules() if isinstance(module, LoraLayer)]
    if isinstance(lm.model, PeftModel) or not layers:
        yield
        return
    were = [(layer, not layer.disable_adapters) for layer in layers]
    trained = {weight: weight.requires_grad for layer in layers for weight in layer.parameters()}
    try:
        for layer in layers:
            layer.enable_adapters(False)
        yield
    finally:
        for layer, on in were:
            layer.enable_adapters(on)
        for weight, wanted in trained.items():
            weight.requires_grad_(wanted)


def written_states(donor: Donor, own: Tensor, theirs: Tensor | None) -> tuple[Tensor, Mode]:
    """Return the states to write [rows, places, width], and whether they replace or are added.

    Args:
        own: the patched run's states there.
        theirs: the donor run's states, where the donor is one.

    Raises:
        WorkbenchError: for a mean over a single prompt, and a vector of another width.
    """
    if theirs is not None:
        return theirs, "replace"
    if isinstance(donor, Ablation):
        if donor.kind == "mean" and len(own) < 2:
            raise WorkbenchError(
                "The mean over other prompts needs at least two prompts; give more, or "
                "Ablation('zero')."
            )
        return (zeros(own) if donor.kind == "zero" else mean_of_others(own)), "replace"
    if isinstance(donor, Noise):
        generator = torch.Generator().manual_seed(donor.seed)
        noise = torch.randn(own.shape, generator=generator).to(own)
        return own + donor.scale * own.float().std().to(own.dtype) * noise, "replace"
    assert isinstance(donor, Vector)
    value = torch.as_tensor(donor.value).to(own)
    if value.shape != own.shape[-1:]:
        raise WorkbenchError(
            f"The vector to write has shape {list(value.shape)}; the component is "
            f"[{own.shape[-1]}] wide."
        )
    return value.expand_as(own).clone(), donor.mode


def _donor_prompts(lm: LanguageModel, donor: Any, prompts: PromptTokens) -> PromptTokens:
    """Encode donor prompts, one for each prompt.

    Raises:
        WorkbenchError: for another number of them, and for the prompts themselves.
    """
    found = encode_prompts(lm, donor)
    if len(found) == 1 and len(prompts) > 1:
        return PromptTokens(found.rows * len(prompts), found.pieces * len(prompts))
    if len(found) != len(prompts):
        raise WorkbenchError(
            f"There are {len(found)} donor prompts for {len(prompts)} prompts; give one for each, "
            "or one for all."
        )
    if found.rows == prompts.rows:
        raise WorkbenchError(
            f"Donor and prompt are the same tokens ({show_tokens(found.pieces[0])}), so a patch "
            "would change nothing; give another prompt, or another model."
        )
    return found


def _require_other(lm: LanguageModel, donor: LanguageModel) -> None:
    """Refuse a donor model that cannot give states to ``lm``.

    Raises:
        WorkbenchError: for another shape, another vocabulary, and the model itself.
    """
    ours, theirs = _shape(lm), _shape(donor)
    if ours != theirs:
        raise WorkbenchError(
            f"The donor has {theirs[0]} layers of width {theirs[1]} with {theirs[2]} heads of size "
            f"{theirs[3]}, the patched model {ours[0]} of width {ours[1]} with {ours[2]} of size "
            f"{ours[3]}; states fit only between models of one shape."
        )
    if donor.model is lm.model:
        raise WorkbenchError(
            "The donor is the patched model itself, so a patch would change nothing; give other "
            "prompts, another model or an adapter."
        )
    if donor.tokenizer is not lm.tokenizer and (
        donor.tokenizer.get_vocab() != lm.tokenizer.get_vocab()
    ):
        raise WorkbenchError(
            "The donor model has another vocabulary than the patched one, so the same token ids "
            "are other texts there; give a model with the same tokenizer."
        )


def _shape(lm: LanguageModel) -> tuple[int, int, int, int]:
    return lm.n_layers, lm.width, lm.n_heads, lm.head_size
