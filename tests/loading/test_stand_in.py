"""The parts of a model without weights are those of the model itself, told from a tiny one of its
configuration.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from tests.support.tiny_models import FAMILIES
from workbench.errors import WorkbenchError
from workbench.loading import stand_in
from workbench.loading.stand_in import stand_in_architecture
from workbench.models import LanguageModel

SIZES = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "num_hidden_layers": 5,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_row_is_the_models_own(make_tiny: Callable[..., LanguageModel], family: str) -> None:
    lm = make_tiny(family)
    model = copy.deepcopy(lm.model).to("meta")
    assert stand_in_architecture(lm.name, model, "sdpa") == lm.architecture


@pytest.mark.parametrize("family", ["llama", "qwen2", "phi3"])
def test_sizes_are_those_of_the_model(make_tiny: Callable[..., LanguageModel], family: str) -> None:
    lm = make_tiny(family, **SIZES)
    row = stand_in_architecture(lm.name, copy.deepcopy(lm.model).to("meta"), "sdpa")
    assert row == lm.architecture
    assert (row.width, row.heads, row.key_value_heads, row.neuron_count) == (48, 6, 3, 80)


def test_a_size_that_cannot_be_told_is_a_component_less(
    make_tiny: Callable[..., LanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = make_tiny("llama")
    monkeypatch.setattr(stand_in, "_input_width", lambda layers, path: 0)
    row = stand_in_architecture(lm.name, copy.deepcopy(lm.model).to("meta"), "sdpa")
    assert set(row.missing) == {"head_out", "query", "key", "value", "neuron"}


def test_a_configuration_that_cannot_be_built_is_refused(
    make_tiny: Callable[..., LanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(config: object, attention: str) -> object:
        raise ValueError("odd sizes")

    monkeypatch.setattr(stand_in, "build_like", broken)
    with pytest.raises(WorkbenchError, match=r"without its weights.*odd sizes.*placement=device"):
        stand_in_architecture("odd", make_tiny("llama").model, "sdpa")
