from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from workbench.config import LoraSettings
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.teach.adapter import add_adapter, load_adapter, remove_adapter, save_adapter

IDS = torch.tensor([[5, 6, 7, 20]])
MakeTiny = Callable[..., LanguageModel]


def disturb(tuned: LanguageModel) -> None:
    """Give the adapter's matrices values that change the logits."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in tuned.model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(std=0.1, generator=generator)


def logits(lm: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        return lm.model(input_ids=IDS).logits


def test_without_an_adapter_nothing_happens(tiny_lm: LanguageModel) -> None:
    before = logits(tiny_lm)
    with adapter_off(tiny_lm):
        assert torch.equal(logits(tiny_lm), before)


def test_inside_is_the_base_model_for_whoever_holds_it(make_tiny: MakeTiny) -> None:
    lm = make_tiny()
    base = logits(lm)
    tuned = add_adapter(lm, LoraSettings(rank=2))
    disturb(tuned)
    tuned.model.eval()
    on = logits(tuned)
    assert not torch.equal(on, base)
    for holder in (lm, tuned):
        with adapter_off(holder):
            assert torch.equal(logits(tuned), base)
            with adapter_off(holder):
                assert torch.equal(logits(tuned), base)
            # What was off before the inner block is off after it.
            assert torch.equal(logits(tuned), base)
        assert torch.equal(logits(tuned), on)


def test_it_is_what_peft_does(make_tiny: MakeTiny, tmp_path: Path) -> None:
    """The same logits, and the same parameters to be trained after the block."""
    lm = make_tiny()
    tuned = add_adapter(lm, LoraSettings(rank=2))
    disturb(tuned)
    save_adapter(tuned, tmp_path, None)
    loaded = load_adapter(remove_adapter(tuned), tmp_path)
    with loaded.model.disable_adapter():
        expected = logits(loaded)
    trained = [parameter.requires_grad for parameter in loaded.model.parameters()]
    with adapter_off(loaded):
        assert torch.equal(logits(loaded), expected)
    assert [parameter.requires_grad for parameter in loaded.model.parameters()] == trained


def test_it_is_on_again_after_an_error(make_tiny: MakeTiny) -> None:
    tuned = add_adapter(make_tiny(), LoraSettings(rank=2))
    disturb(tuned)
    tuned.model.eval()
    on = logits(tuned)
    with pytest.raises(RuntimeError), adapter_off(tuned):
        raise RuntimeError
    assert torch.equal(logits(tuned), on)
