"""Checkpoints in the layouts of every method: what is missing for one is said before its weights,
which are not there, are looked for.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel, quantisation
from workbench.models.quantisation import (
    METHODS,
    checkpoint_method,
    method_of,
    missing_kernel,
    missing_package,
    quantisation_name,
    require_plain_weights,
)

CPU = torch.device("cpu")
LAYOUTS: dict[str, dict[str, Any]] = {
    "bitsandbytes_4bit": {"quant_method": "bitsandbytes", "load_in_4bit": True,
                          "load_in_8bit": False, "bnb_4bit_quant_type": "nf4"},
    "bitsandbytes_8bit": {"quant_method": "bitsandbytes", "load_in_8bit": True,
                          "llm_int8_threshold": 6.0},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False},
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"},
    "compressed-tensors": {"quant_method": "compressed-tensors", "format": "int-quantized",
                           "config_groups": {}},
    "torchao": {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig",
                                                                       "_version": 2, "_data": {}}}},
    "hqq": {"quant_method": "hqq", "quant_config": {}},
    "fp8": {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"},
    "mxfp8": {"quant_method": "mxfp8"},
    "mxfp4": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]},
}  # fmt: skip


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A checkpoint without weights, whose configuration a test may change."""
    place = shutil.copytree(tiny_folder, tmp_path / "model")
    (place / "model.safetensors").unlink()
    return place


def _quantised(folder: Path, settings: dict[str, Any], **changes: Any) -> str:
    path = folder / "config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "quantization_config": settings, **changes})
    )
    return str(folder)


def _config(settings: Any, text: Any = None) -> Any:
    inner = SimpleNamespace(quantization_config=text)
    return SimpleNamespace(quantization_config=settings, get_text_config=lambda: inner)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_known_by_its_layout(name: str) -> None:
    assert checkpoint_method("it", _config(LAYOUTS[name])) is METHODS[name]
    assert checkpoint_method("it", _config(None, LAYOUTS[name])) is METHODS[name]
    assert checkpoint_method("it", _config(None)) is None


@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if row.cpu])
def test_a_missing_package_is_named_with_how_to_install_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(quantisation, "find_spec", lambda package: None)
    row = METHODS[name]
    with pytest.raises(
        WorkbenchError,
        match=f"are quantised by {name}, and the package {row.packages[0]} that does it is not "
        rf"installed: pip install {row.install}$",
    ):
        load_model(_quantised(folder, LAYOUTS[name]), device="cpu")


def test_a_missing_accelerator_is_named(folder: Path) -> None:
    with pytest.raises(
        WorkbenchError, match=r"quantised by hqq, which needs an accelerator: set model\.device"
    ):
        load_model(_quantised(folder, LAYOUTS["hqq"]), device="cpu")


def test_kernels_ask_for_a_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    cuda = torch.device("cuda")
    assert missing_kernel(METHODS["fp8"], cuda) == (
        "a CUDA device of compute capability 8.9 or above"
    )
    assert missing_kernel(METHODS["mxfp4"], cuda) == missing_kernel(METHODS["hqq"], cuda) == ""
    assert missing_kernel(METHODS["torchao"], CPU) == ""


def test_the_first_missing_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"optimum"}
    monkeypatch.setattr(quantisation, "find_spec", lambda name: name if name in there else None)
    assert missing_package(METHODS["gptq"]) == "gptqmodel"
    there.add("gptqmodel")
    assert missing_package(METHODS["gptq"]) == ""


@pytest.mark.parametrize(
    ("settings", "said"), [({"quant_method": "aqlm"}, "'aqlm'"), ({"bits": 4}, "without a name")]
)
def test_a_method_without_a_row_is_refused(
    folder: Path, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(
        WorkbenchError,
        match=rf"quantised by .*{said}.*the workbench loads those of bitsandbytes_4bit",
    ):
        load_model(_quantised(folder, settings), device="cpu")


def test_a_quantised_checkpoint_is_not_quantised_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantisation, "find_spec", lambda package: package)
    with pytest.raises(
        WorkbenchError, match=r"quantised by awq already: leave model\.quantize=int8 out"
    ):
        load_model(_quantised(folder, LAYOUTS["awq"]), quantize="int8", device="cpu")


def test_plain_weights_have_no_method(tiny_lm: LanguageModel) -> None:
    assert (method_of(tiny_lm), quantisation_name(tiny_lm)) == (None, "none")
    require_plain_weights(tiny_lm, "Anything", "do not")


def test_fp8_weights_are_widened_where_their_kernels_do_not_run_and_that_is_said(
    make_tiny: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    """A checkpoint in the layout of fine-grained FP8, blocks of 16 by 16; the values that it stores
    are those that the widened model must have.
    """
    lm, block = make_tiny(), 16
    lm.model.to(torch.bfloat16)
    lm.model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    state, meant = load_file(tmp_path / "model.safetensors"), {}
    for name in [name for name in state if name.endswith("_proj.weight")]:
        rows, columns = (size // block for size in state[name].shape)
        blocks = state[name].float().reshape(rows, block, columns, block)
        scale = blocks.abs().amax(dim=(1, 3)) / 448
        stored = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
        meant[name] = (stored.float() * scale[:, None, :, None]).reshape(state[name].shape)
        state[name] = stored.reshape(state[name].shape)
        state[f"{name}_scale_inv"] = scale
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    settings = {**LAYOUTS["fp8"], "weight_block_size": [block, block]}
    spec = _quantised(tmp_path, settings, dtype="bfloat16")
    with pytest.warns(UserWarning, match=r"fp8 weights need a CUDA device.*so they are widened"):
        widened = load_model(spec, device="cpu")
    found = dict(widened.base().named_parameters())
    assert quantisation_name(widened) == "none"
    assert widened.dtype == torch.bfloat16
    for name, value in meant.items():
        assert torch.allclose(found[name].float(), value, rtol=2**-7, atol=1e-6), name
    assert not any(weight.requires_grad for weight in found.values())


def test_a_checkpoint_of_compressed_tensors_computes_what_its_numbers_say(
    make_tiny: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    """Whole numbers of 8 bits with a scale for each output, beside the same model with those
    numbers multiplied out.
    """
    pytest.importorskip("compressed_tensors", reason="compressed-tensors is not installed")
    lm = make_tiny()
    lm.model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    state, own = load_file(tmp_path / "model.safetensors"), lm.base().state_dict()
    for name in [name for name in state if name.endswith("_proj.weight")]:
        scale = state[name].abs().amax(dim=1, keepdim=True) / 127
        stored = (state[name] / scale).round().to(torch.int8)
        own[name].copy_(stored * scale)
        state[name], state[f"{name}_scale"] = stored, scale
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    weights = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}
    group = {"format": "int-quantized", "targets": ["Linear"], "weights": weights}
    settings = {
        **LAYOUTS["compressed-tensors"],
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "config_groups": {"group_0": group},
    }
    loaded, ids = (
        load_model(_quantised(tmp_path, settings), device="cpu"),
        torch.arange(5, 25)[None],
    )
    assert quantisation_name(loaded) == "compressed-tensors"
    with torch.no_grad():
        found, expected = (each.base()(input_ids=ids).logits for each in (loaded, lm))
    assert torch.allclose(found, expected, atol=1e-5)
