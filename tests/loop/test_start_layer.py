from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.elicit.conversation import Conversation
from workbench.loop.confidence import confidence_conversations
from workbench.loop.run import Run
from workbench.loop.start_layer import (
    ITEMS,
    base_donor_slopes,
    first_layer_above,
    resolve_start_layer,
)
from workbench.patch.effects import following


def test_the_adapter_begins_where_a_tenth_is_carried() -> None:
    layers = np.array([0, 1, 2, 3])
    assert first_layer_above(layers, np.array([0.0, 0.05, 0.1, 0.9])) == 2
    assert first_layer_above(layers, np.array([0.3, 0.05, 0.1, 0.9])) == 0
    assert first_layer_above(layers, np.array([0.0, 0.05, -0.4, np.nan])) == 0


def test_a_number_stays_and_patching_becomes_one(context: Run) -> None:
    conversations = confidence_conversations(context)
    rows = np.arange(len(conversations))
    assert resolve_start_layer(context, conversations, rows) is context.config.teach
    teach = context.config.teach.model_copy(update={"start_layer": "patching"})
    asked = replace(context, config=context.config.model_copy(update={"teach": teach}))
    found = resolve_start_layer(asked, conversations, rows)
    drawn = np.sort(np.random.default_rng(context.config.seed).permutation(rows)[:ITEMS])
    sweep = base_donor_slopes(context, [conversations[row] for row in drawn])
    slope, _ = following(sweep, resamples=1, seed=0)
    assert found.start_layer == first_layer_above(sweep.layers, slope.value)
    assert found == teach.model_copy(update={"start_layer": found.start_layer})


def test_the_last_layer_carries_all_of_it(context: Run) -> None:
    """A state behind the last layer is the donor's readout itself, whatever question it is put
    into.
    """
    conversations: list[Conversation] = confidence_conversations(context)[:8]
    sweep = base_donor_slopes(context, conversations)
    assert sweep.patched.shape == (8, context.lm.n_layers)
    assert sweep.patched[:, -1] == pytest.approx(sweep.donor, abs=1e-5)
    assert sweep.donor != pytest.approx(sweep.base, abs=1e-5)
