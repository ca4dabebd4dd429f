"""Timed layers by a clock that counts matrix products, so that every time has its number by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from workbench.bench.layer_times import COLUMNS, ROWS, time_layers
from workbench.compat import has_bfloat16_units
from workbench.config import ModelSettings
from workbench.plan.forwards import whole_forward
from workbench.plan.shape import decoder_shape

PRODUCTS = (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm)


class ProductClock(TorchDispatchMode):
    """A clock that goes on by the operations of every product of matrices, times its dtype's
    bytes.
    """

    time = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in PRODUCTS:
            matrix = args[1] if func.overloadpacket is torch.ops.aten.addmm else args[0]
            self.time += 2.0 * out.numel() * matrix.shape[-1] * out.element_size()
        return out


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_times_are_those_of_the_shape_in_the_dtype_of_a_run(
    tiny_folder: Path, precision: str
) -> None:
    """A layer of the shape has ``linear / layers`` weights, each multiplied once a column; gradients
    of the states multiply with each once more; float32 takes twice the bytes of bfloat16.
    """
    shape = decoder_shape(str(tiny_folder))
    settings = ModelSettings.model_validate({"name": str(tiny_folder), "precision": precision})
    with ProductClock() as clock:
        timed = time_layers(shape, settings, lambda: clock.time)
    size = 2 if precision == "bfloat16" else 4
    per_column = 2 * size * shape.linear / shape.layers
    assert timed.columns == COLUMNS
    assert timed.layer == pytest.approx([per_column * columns for columns in COLUMNS])
    assert timed.backward == pytest.approx(2)
    assert timed.float32 == pytest.approx(4 / size)
    head = 2 * size * shape.width * shape.vocabulary
    assert timed.head == pytest.approx([head * rows for rows in ROWS])
    whole = whole_forward("", shape.layers, 2, 100, logits=2)
    assert timed.seconds(whole, 0) == pytest.approx(200 * 2 * size * shape.linear + 2 * head)


def test_auto_is_timed_in_what_a_run_multiplies_in(tiny_folder: Path) -> None:
    shape = decoder_shape(str(tiny_folder))
    with ProductClock() as clock:
        timed = time_layers(shape, ModelSettings(precision="auto"), lambda: clock.time)
    size = 2 if has_bfloat16_units() or torch.cuda.is_available() else 4
    assert timed.layer[0] == pytest.approx(2 * size * shape.linear / shape.layers)
