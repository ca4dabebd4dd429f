from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tiny_models import build_tiny
from workbench.errors import WorkbenchError
from workbench.plan.products import ProductShape
from workbench.plan.shape import decoder_shape


def test_a_folder_is_counted_as_its_model(tiny_folder: Path) -> None:
    found, lm = decoder_shape(str(tiny_folder)), build_tiny()
    assert found.products == ProductShape.of(lm)
    assert found.weights == sum(weight.numel() for weight in lm.model.parameters())
    assert (found.layers, found.width, found.vocabulary) == (
        lm.n_layers,
        lm.width,
        lm.config.vocab_size,
    )


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("llama-3.1-8b", 8_030_261_248),
        ("meta-llama/Llama-3.1-70B-Instruct", 70_553_706_496),
        ("qwen2.5-72b", 72_706_203_648),
    ],
)
def test_known_shapes_have_their_published_weights(name: str, weights: int) -> None:
    assert decoder_shape(name).weights == weights


def test_an_adapter_by_hand() -> None:
    """q and o of llama-3.1-8b are 4,096 to 4,096, k 4,096 to 1,024: 16 x (8,192 + 8,192 + 5,120)
    weights in each of 16 layers.
    """
    shape = decoder_shape("llama-3.1-8b")
    assert shape.adapter_weights(16, ("q_proj", "o_proj", "k_proj"), 16) == 16 * 21_504 * 16
    with pytest.raises(WorkbenchError, match="no linear module 'c_attn'"):
        shape.adapter_weights(16, ("c_attn",), 0)


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(WorkbenchError, match="qwen2"):
        decoder_shape("nobody/nothing-7b")
