"""A training of a model whose layers lie on two pretended devices is that of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft.peft_model
import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer

from tests.support.pretended_devices import PretendedDevices, plain, spread_layers
from tests.support.trainings import losses, train_tiny
from workbench.models import LanguageModel
from workbench.models.moved_bytes import MOVED

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize(
    ("scope", "start_layer"), [("conversation", 0), ("conversation", 3), ("reply", 0), ("reply", 2)]
)
def test_training(
    make_tiny: MakeTiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scope: str,
    start_layer: int,
) -> None:
    """On whole conversations and on replies after kept beginnings, from the bottom and on kept
    states. What pretended devices hold cannot be written to files, but as plain tensors.
    """
    state = peft.peft_model.get_peft_model_state_dict

    def held(*args: Any, **options: Any) -> dict[str, torch.Tensor]:
        return {name: plain(weight).clone() for name, weight in state(*args, **options).items()}

    monkeypatch.setattr(peft.peft_model, "get_peft_model_state_dict", held)
    monkeypatch.setattr(Trainer, "_save_optimizer_and_scheduler", lambda *_: None)
    whole = make_tiny(tie_word_embeddings=False)
    split = spread_layers(make_tiny(tie_word_embeddings=False), 2)
    _, expected = train_tiny(whole, tmp_path / "one", scope, start_layer=start_layer, epochs=1)
    before = dict(MOVED.bytes_moved)
    with PretendedDevices() as devices:
        _, found = train_tiny(split, tmp_path / "two", scope, start_layer=start_layer, epochs=1)
    assert losses(found) == pytest.approx(losses(expected), abs=1e-6)
    counted = {
        pair: size - before.get(pair, 0)
        for pair, size in MOVED.bytes_moved.items()
        if pair in devices.between
    }
    for pair in (("cpu:0", "cpu:1"), ("cpu:1", "cpu:0")):
        size = devices.between[pair]
        # The Trainer moves a number a step: the loss, and what is clipped.
        assert 0 <= size - counted.get(pair, 0) <= 64 * len(found)
    assert counted["cpu:0", "cpu:1"] > 10_000
    weights = [
        load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
        for name in ("one", "two")
    ]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-5, atol=1e-6)
