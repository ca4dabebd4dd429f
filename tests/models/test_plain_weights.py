from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from workbench.models.plain_weights import is_linear, is_plain


class OthersTensor(torch.Tensor):
    """Stands for a library's class of quantised tensors that looks like a floating-point one."""


@pytest.mark.parametrize(
    ("weight", "plain"),
    [
        (nn.Parameter(torch.ones(2, 2)), True),
        (torch.ones(2, 2, dtype=torch.bfloat16), True),
        (nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False), False),
        (torch.ones(2, 2).to(torch.float8_e4m3fn), False),
        (torch.ones(2, 2).as_subclass(OthersTensor), False),
        (None, False),
    ],
)
def test_floating_point_tensors_of_torchs_own_classes_are_plain(
    weight: object, plain: bool
) -> None:
    assert is_plain(weight) is plain


def test_linear_maps_of_any_class_are_known_by_their_sizes() -> None:
    packed = nn.Module()
    packed.in_features, packed.out_features = 4, 2  # type: ignore[assignment]
    assert all(map(is_linear, (nn.Linear(2, 2), Conv1D(2, 2), packed)))
    assert not any(map(is_linear, (nn.Embedding(2, 2), nn.LayerNorm(2), nn.Module())))
