from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer

from workbench.config import LoraSettings
from workbench.models import LanguageModel
from workbench.models.adapter_fingerprint import fingerprint_as_run
from workbench.models.adapter_switch import adapter_off
from workbench.teach.adapter import add_adapter, load_adapter, remove_adapter, save_adapter


def filled(lm: LanguageModel, seed: int) -> LanguageModel:
    """The model with an adapter whose weights are drawn."""
    tuned = add_adapter(lm, LoraSettings(rank=2))
    generator = torch.Generator().manual_seed(seed)
    for name, weight in tuned.model.named_parameters():
        if "lora" in name:
            weight.data = torch.randn(weight.shape, generator=generator)
    return tuned


def test_it_names_the_adapter_that_is_on(
    make_tiny: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    lm = make_tiny()
    assert fingerprint_as_run(lm) == lm.revision
    tuned = filled(lm, 1)
    first = fingerprint_as_run(tuned)
    assert first.startswith(f"{lm.revision}+adapter-")
    with adapter_off(tuned):
        assert fingerprint_as_run(tuned) == lm.revision
    assert fingerprint_as_run(lm) == first, "the adapter stands in the base model's modules"
    assert fingerprint_as_run(replace(tuned, invocation_length=3)) != first
    save_adapter(tuned, tmp_path, None)
    remove_adapter(tuned)
    assert fingerprint_as_run(lm) == lm.revision
    assert fingerprint_as_run(load_adapter(lm, tmp_path)) == first


def test_other_weights_or_factors_are_another_adapter(
    make_tiny: Callable[..., LanguageModel],
) -> None:
    tuned, other = filled(make_tiny(), 1), filled(make_tiny(), 2)
    assert fingerprint_as_run(tuned) != fingerprint_as_run(other)
    again = filled(make_tiny(), 1)
    assert fingerprint_as_run(tuned) == fingerprint_as_run(again)
    for module in again.model.modules():
        if isinstance(module, LoraLayer):
            module.scaling["default"] *= 2
    assert fingerprint_as_run(tuned) != fingerprint_as_run(again)
