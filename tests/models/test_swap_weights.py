from __future__ import annotations

import pytest
import torch

from workbench.models.swap_weights import replaced_weights


def test_every_weight_comes_back_the_same_tensor_also_after_an_error() -> None:
    """One that was put twice too."""
    first, second = (
        torch.nn.Parameter(torch.full((2,), value), requires_grad=False) for value in (1.0, 2.0)
    )
    places = first.data_ptr(), second.data_ptr()

    def change() -> None:
        with replaced_weights() as put:
            put(first, torch.zeros(2, dtype=torch.bfloat16))
            put(second, second.data + 1)
            put(first, torch.full((2,), 9.0))
            assert first.tolist() == [9.0, 9.0]
            assert second.tolist() == [3.0, 3.0]
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        change()
    assert (first.tolist(), second.tolist()) == ([1.0, 1.0], [2.0, 2.0])
    assert (first.data_ptr(), second.data_ptr()) == places
    assert first.dtype == torch.float32
