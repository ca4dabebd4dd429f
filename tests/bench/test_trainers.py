from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.bench.trainers import train_here, train_with_trl
from workbench.bench.training_examples import make_examples
from workbench.config import LoraSettings, TeachSettings
from workbench.models import LanguageModel

MakeTiny = Callable[..., LanguageModel]
SETTINGS = TeachSettings(
    adapter_scope="conversation",
    target="text",
    learning_rate=5e-3,
    epochs=2,
    lora=LoraSettings(rank=4, dropout=0.0),
)


@pytest.mark.parametrize("first", [0, 2])
def test_both_train_alike_on_the_same_batches(make_tiny: MakeTiny, first: int) -> None:
    """Without dropout: the same loss at every step of two epochs, so the same gradients, rates
    and updates before it.
    """
    pytest.importorskip("trl")
    lm = make_tiny()
    before: Any = {name: tensor.clone() for name, tensor in lm.base().state_dict().items()}
    examples = make_examples(lm, 24)
    settings = SETTINGS.model_copy(update={"start_layer": first})
    here, there = (train(lm, examples, settings, 1) for train in (train_here, train_with_trl))
    assert len(here.losses) == len(there.losses) == 6
    assert here.losses == pytest.approx(there.losses, abs=2e-5)
    assert here.losses[-1] < here.losses[0] - 0.01
    assert min(here.seconds, there.seconds) > 0
    assert lm.base().state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in lm.base().state_dict().items())
    assert "forward" not in lm.base().__dict__
    assert lm.base().config._attn_implementation == "sdpa"
