"""Computing layers again gives the same losses and adapters, and keeps less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import workbench.teach.training_forward
from tests.support.trainings import SETTINGS, losses, train_tiny
from workbench.models import LanguageModel
from workbench.teach.training_forward import Passes

MakeTiny = Callable[..., LanguageModel]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes that autograd saved for the way back, of every step's pass."""
    found: list[int] = []
    logits = Passes.logits

    def measured(self: Passes, model: Any, numbers: Any) -> Tensor:
        saved: dict[tuple[int, int], int] = {}

        def pack(tensor: Tensor) -> Tensor:
            # Weights are there anyway; masks of dropout are parts of one pool.
            base = tensor if tensor._base is None else tensor._base
            if not isinstance(base, torch.nn.Parameter):
                size = tensor.numel() * tensor.element_size()
                saved[tensor.data_ptr(), size] = size
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = logits(self, model, numbers)
        found.append(sum(saved.values()))
        return out

    monkeypatch.setattr(workbench.teach.training_forward.Passes, "logits", measured)
    return found


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(
    ("scope", "start_layer"), [("conversation", 0), ("conversation", 2), ("reply", 1)]
)
def test_losses_and_adapters_are_equal(
    make_tiny: MakeTiny,
    tmp_path: Path,
    kept: list[int],
    scope: str,
    start_layer: int,
    dropout: float,
) -> None:
    """With the adapter's dropout too, whose masks are drawn again."""
    lora = SETTINGS.lora.model_copy(update={"dropout": dropout})
    found, bytes_kept = [], []
    for name, again in (("plain", False), ("again", True)):
        kept.clear()
        _, log = train_tiny(
            make_tiny(num_hidden_layers=6),
            tmp_path / name,
            scope,
            start_layer=start_layer,
            lora=lora,
            epochs=1,
            gradient_checkpointing=again,
        )
        found.append(losses(log))
        bytes_kept.append(max(kept))
    assert found[1] == pytest.approx(found[0], abs=1e-6)
    assert bytes_kept[1] < 0.6 * bytes_kept[0], bytes_kept
    weights = [
        load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
        for name in ("plain", "again")
    ]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-4, atol=1e-6)
