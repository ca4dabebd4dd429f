from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.weights import read_model


def _saved(lm: LanguageModel, folder: Path) -> dict[str, torch.Tensor]:
    lm.model.save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def test_a_missing_weight_is_named(tiny_lm: LanguageModel, tmp_path: Path) -> None:
    state = _saved(tiny_lm, tmp_path)
    del state["model.layers.2.mlp.up_proj.weight"]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        WorkbenchError, match=r"'it' lacks weights .*\(model\.layers\.2\.mlp\.up_proj\.weight\)"
    ):
        read_model("it", str(tmp_path), quiet=True)


def test_many_missing_weights_are_counted(tiny_lm: LanguageModel, tmp_path: Path) -> None:
    state = {
        name: tensor for name, tensor in _saved(tiny_lm, tmp_path).items() if "layers.3" not in name
    }
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WorkbenchError, match="and 6 more"):
        read_model("it", str(tmp_path), quiet=True)


def test_tied_heads_are_not_missing(
    make_tiny: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    lm = make_tiny(tie_word_embeddings=True)
    assert "lm_head.weight" not in _saved(lm, tmp_path)
    model = read_model("it", str(tmp_path), quiet=True)
    assert torch.equal(model.lm_head.weight, lm.base().lm_head.weight)
