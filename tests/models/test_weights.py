from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from workbench.errors import WorkbenchError
from workbench.loading import load_model
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


PEAK = Path("/proc/self/clear_refs")


def _memory(name: str) -> int:
    (line,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)
    ]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not PEAK.exists(), reason="the system does not report the peak of memory")
@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "float32"},
        {"dtype": "float32", "precision": "bfloat16"},
    ],
)
def test_loading_takes_little_more_memory_than_the_weights(
    make_tiny: Callable[..., LanguageModel], tmp_path: Path, options: dict[str, Any]
) -> None:
    """A bfloat16 file that stays mapped while it is converted would be half of the float32 weights
    once more.
    """
    lm = make_tiny(hidden_size=512, intermediate_size=4096, num_hidden_layers=6)
    size = sum(weight.numel() * weight.element_size() for weight in lm.model.parameters())
    assert size > 150_000_000
    lm.model.to(torch.bfloat16).save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    del lm
    gc.collect()
    PEAK.write_text("5")  # the peak is counted from here on
    before = _memory("VmRSS")
    loaded = load_model(str(tmp_path), device="cpu", **options)
    assert _memory("VmHWM") - before < 1.3 * size
    assert loaded.dtype == getattr(torch, options["dtype"])
