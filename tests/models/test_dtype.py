from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel
from workbench.models.dtype import checkpoint_dtype, dtype_name, resolve_dtype

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


def test_auto_is_float32_on_a_processor_and_bfloat16_on_an_accelerator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert [resolve_dtype("auto", device) for device in (CPU, CUDA, MPS)] == [
        torch.float32,
        torch.bfloat16,
        torch.bfloat16,
    ]
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert resolve_dtype("auto", CUDA) == torch.float32


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_a_named_dtype_is_taken_as_it_is(device: torch.device) -> None:
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    for name, dtype in named.items():
        assert resolve_dtype(name, device, quantised=False) == dtype
        assert dtype_name(dtype) == name
    with pytest.raises(
        WorkbenchError, match="unknown dtype 'float8': use one of auto, float32, bfloat16, float16"
    ):
        resolve_dtype("float8", device)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (torch.float16, torch.float16),
        ("bfloat16", torch.bfloat16),
        (torch.float8_e4m3fn, torch.float32),
        (None, torch.float32),
    ],
)
def test_a_quantised_checkpoint_keeps_its_own_dtype_on_a_processor(
    own: Any, expected: torch.dtype
) -> None:
    config: Any = SimpleNamespace(dtype=own)
    config.get_text_config = lambda: config
    assert resolve_dtype("auto", CPU, config, quantised=True) == expected
    assert resolve_dtype("auto", CPU, config, quantised=False) == torch.float32


def test_a_configuration_written_by_transformers_names_its_dtype(
    make_tiny: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    make_tiny().model.to(torch.bfloat16).save_pretrained(tmp_path)
    assert checkpoint_dtype(AutoConfig.from_pretrained(tmp_path)) == torch.bfloat16


def test_the_default_is_auto_and_gives_float32_here(tiny_folder: Path) -> None:
    assert RunConfig().model.dtype == "auto"
    assert load_model(str(tiny_folder), device="cpu").dtype == torch.float32
