from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.dequantise import dequantise, dequantised_folder

MakeGguf = Callable[..., Path]
TEXTS = ("What is 12 + 345?", "  12  3", "Confidence: 73%", "x² ½ ٣٤", "the\n1\n22", "<|im_end|> 7")


def test_weights_are_the_dequantised_ones_exactly(
    make_gguf: MakeGguf, tiny_lm: LanguageModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = dequantised_folder(make_gguf(tmp_path / "tiny.gguf", tiny_lm), tmp_path / "cache")
    assert "quantizing" not in capfd.readouterr().err
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    expected = tiny_lm.base().state_dict()
    assert set(model.state_dict()) == set(expected)
    kind = gguf.GGMLQuantizationType.Q8_0
    for name, found in model.state_dict().items():
        tensor = expected[name]
        if name.endswith("proj.weight"):
            rounded = torch.from_numpy(
                gguf.quants.dequantize(gguf.quants.quantize(tensor.numpy(), kind), kind)
            )
            assert not torch.equal(rounded, tensor)
            tensor = rounded
        assert torch.equal(found, tensor), name


def test_the_tokenizer_survives_with_its_digits(
    make_gguf: MakeGguf, tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    folder = dequantised_folder(make_gguf(tmp_path / "tiny.gguf", tiny_lm), tmp_path / "cache")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        ids = tiny_lm.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids, text
    assert tokenizer.chat_template == tiny_lm.tokenizer.chat_template
    assert tokenizer.special_tokens_map == tiny_lm.tokenizer.special_tokens_map


def test_the_plain_gpt2_split_stays(
    make_gguf: MakeGguf, make_tiny: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    lm = make_tiny(tokenizer="merged_space")
    folder = dequantised_folder(
        make_gguf(tmp_path / "tiny.gguf", lm, split="gpt-2"), tmp_path / "cache"
    )
    assert AutoTokenizer.from_pretrained(folder).tokenize(" 73") == ["Ġ7", "3"]


def test_an_unknown_split_is_refused(
    make_gguf: MakeGguf, tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    path = make_gguf(tmp_path / "tiny.gguf", tiny_lm, split="unheard-of")
    with pytest.raises(
        WorkbenchError, match=r"^tiny.gguf splits text by 'unheard-of'.*add it to SPLITS"
    ):
        dequantised_folder(path, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".locks"]


def test_a_file_that_is_not_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"not a model" * 100)
    with pytest.raises(WorkbenchError, match="is not a readable GGUF file"):
        dequantise(path, tmp_path)


def test_more_layers_than_the_file_holds_are_refused_before_any_is_built(
    make_gguf: MakeGguf, tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    """One flipped byte of the count makes millions of layers, whose building has no end."""
    path = make_gguf(tmp_path / "tiny.gguf", tiny_lm)
    whole = path.read_bytes()
    at = whole.index(b"llama.block_count") + len(b"llama.block_count") + 4
    assert whole[at : at + 4] == (4).to_bytes(4, "little")
    path.write_bytes(whole[:at] + (4_000_000).to_bytes(4, "little") + whole[at + 4 :])
    with pytest.raises(
        WorkbenchError, match=r"^tiny\.gguf claims 4,000,000 layers and holds 4: download it again$"
    ):
        dequantised_folder(path, tmp_path / "cache")


def test_each_file_has_its_own_folder(
    make_gguf: MakeGguf, make_tiny: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    first = dequantised_folder(
        make_gguf(tmp_path / "tiny.gguf", make_tiny(seed=0)), tmp_path / "cache"
    )
    second = dequantised_folder(
        make_gguf(tmp_path / "tiny.gguf", make_tiny(seed=1)), tmp_path / "cache"
    )
    assert first != second
