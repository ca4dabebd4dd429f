from __future__ import annotations

import numpy as np
import pytest

from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.models import LanguageModel
from workbench.patch.start_layer import base_donor_slopes, find_start_layer, first_layer_above


def test_the_adapter_begins_where_a_tenth_is_carried() -> None:
    layers = np.array([0, 1, 2, 3])
    assert first_layer_above(layers, np.array([0.0, 0.05, 0.1, 0.9]), 0.1) == 2
    assert first_layer_above(layers, np.array([0.0, 0.05, 0.1, 0.9]), 0.04) == 1
    assert first_layer_above(layers, np.array([0.3, 0.05, 0.1, 0.9]), 0.1) == 0
    assert first_layer_above(layers, np.array([0.0, 0.05, -0.4, np.nan]), 0.1) == 0


def test_the_last_layer_carries_all_of_it(tiny_lm: LanguageModel) -> None:
    """A state behind the last layer is the donor's readout itself, whatever question it is put
    into.
    """
    fmt = FORMATS["percent"]
    numbers = scale_tokens(tiny_lm.tokenizer, fmt)
    conversations = [
        confidence_conversation(tiny_lm.tokenizer, fmt, numbers, f"What is {word}?", "it")
        for word in ("the", "answer", "a cat", "a doggy", "one", "nothing at all")
    ]
    sweep = base_donor_slopes(tiny_lm, conversations, numbers, tokens_per_forward=300, seed=0)
    assert sweep.patched.shape == (6, 4)
    assert sweep.patched[:, -1] == pytest.approx(sweep.donor, abs=1e-5)
    assert sweep.donor != pytest.approx(sweep.base, abs=1e-5)
    found = find_start_layer(
        tiny_lm, conversations, numbers, carried=0.1, tokens_per_forward=9999, seed=0
    )
    assert found in range(4)
