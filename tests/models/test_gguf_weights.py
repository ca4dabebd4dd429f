from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, dequantise, gguf_weights

MakeGguf = Callable[..., Path]


@pytest.fixture
def gguf(make_gguf: MakeGguf, tiny_lm: LanguageModel, tmp_path: Path) -> Path:
    return make_gguf(tmp_path / "tiny.gguf", tiny_lm)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()


def test_weights_are_those_that_transformers_reads_whole(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit by bit, and configuration and tokenizer byte by byte."""
    one, whole = tmp_path / "one", tmp_path / "whole"
    one.mkdir()
    whole.mkdir()
    dequantise.dequantise(gguf, one)
    monkeypatch.setattr(dequantise, "single_tensors", lambda *_: False)
    dequantise.dequantise(gguf, whole)
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in whole.iterdir())
    for name in names:
        if name != "model.safetensors":
            assert (one / name).read_bytes() == (whole / name).read_bytes(), name
    first, second = _weights(one), _weights(whole)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_large_model_is_split_over_files_with_an_index(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, split = tmp_path / "one", tmp_path / "split"
    one.mkdir()
    split.mkdir()
    dequantise.dequantise(gguf, one)
    most = max(each.nbytes for each in _weights(one).values())
    monkeypatch.setattr(gguf_weights, "SHARD_BYTES", most)
    dequantise.dequantise(gguf, split)
    files = sorted(split.glob("*.safetensors"))
    assert files[0].name == f"model-00001-of-{len(files):05d}.safetensors"
    assert len(files) > 2
    assert max(file.stat().st_size for file in files) < 1.1 * most
    index = json.loads((split / "model.safetensors.index.json").read_text())
    first, second = _weights(one), _weights(split)
    assert index["metadata"]["total_size"] == sum(each.nbytes for each in first.values())
    assert index["weight_map"].keys() == first.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_weight_that_the_file_lacks_is_named(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    known = gguf_weights.get_gguf_hf_weights_map

    def without_norm(*given: object) -> dict[str, str]:
        return {key: name for key, name in known(*given).items() if name != "model.norm.weight"}

    monkeypatch.setattr(gguf_weights, "get_gguf_hf_weights_map", without_norm)
    with pytest.raises(WorkbenchError, match=r"lacks weights .*\(model\.norm\.weight\)"):
        dequantise.dequantise(gguf, folder)


def test_experts_and_what_transformers_reads_lazily_are_not_single_tensors() -> None:
    def empty(family: str, **sizes: int) -> object:
        config = AutoConfig.for_model(family, num_hidden_layers=1, **sizes)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)

    assert gguf_weights.single_tensors("qwen2", empty("qwen2"))
    assert not gguf_weights.single_tensors("qwen3moe", empty("qwen3_moe"))
    assert not gguf_weights.single_tensors("lfm2", SimpleNamespace())


def test_a_disk_that_is_full_is_not_called_a_damaged_file(
    gguf: Path, tmp_path: Path, little_room: Callable[[int], Any]
) -> None:
    with (
        little_room(50_000),
        pytest.raises(WorkbenchError, match=r"^the model cache .* cannot be written"),
    ):
        dequantise.dequantised_folder(gguf, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".locks"]
