from __future__ import annotations

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models.shrink import build, families, tiny_config

TOKENS = torch.tensor([[7 * at * at % 250 + 5 for at in range(20)]])


def test_a_family_that_is_not_registered_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="no causal language model of the type 'nothing'"):
        tiny_config("nothing")


def test_overrides_reach_the_text_part() -> None:
    assert tiny_config("gemma3", sliding_window=4).text_config.sliding_window == 4


@pytest.mark.parametrize("family", ["llama", "gemma3", "gemma4", "deepseek_v3", "qwen3_5"])
def test_a_tiny_model_runs(family: str) -> None:
    model = build(family, 0)
    with torch.no_grad():
        logits = model(input_ids=TOKENS, use_cache=False).logits
    assert logits.shape[:2] == TOKENS.shape
    assert logits.isfinite().all()
    assert family in families()
