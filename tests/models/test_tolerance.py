from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from workbench.models import LanguageModel
from workbench.models.tolerance import tolerance_of


def _quantised(lm: LanguageModel, method: str, **settings: Any) -> LanguageModel:
    """The model as transformers marks one that is quantised."""
    base = lm.base()
    base.is_quantized = True
    base.config.quantization_config = SimpleNamespace(
        **settings, to_dict=lambda: {"quant_method": method, **settings}
    )
    return lm


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float16, 1e-2), (torch.bfloat16, 5e-2)]
)
def test_it_is_that_of_the_dtype(
    tiny_lm: LanguageModel, dtype: torch.dtype, tolerance: float
) -> None:
    tiny_lm.model.to(dtype)
    assert tolerance_of(tiny_lm) == tolerance
    assert tolerance_of(_quantised(tiny_lm, "torchao")) == tolerance


def test_layers_that_compute_in_a_coarser_dtype_count(tiny_lm: LanguageModel) -> None:
    lm = _quantised(
        tiny_lm, "bitsandbytes", load_in_4bit=True, bnb_4bit_compute_dtype=torch.float16
    )
    assert tolerance_of(lm) == 1e-2


def test_rounded_activations_get_the_steps_of_bfloat16(tiny_lm: LanguageModel) -> None:
    assert tolerance_of(_quantised(tiny_lm, "bitsandbytes", load_in_8bit=True)) == 5e-2
    lm = _quantised(tiny_lm, "torchao")
    weight = lm.layers()[0].get_submodule("mlp.down_proj").weight
    assert isinstance(weight, nn.Parameter)
    weight.act_quant_kwargs = {"granularity": "row"}  # type: ignore[attr-defined]
    assert tolerance_of(lm) == 5e-2
