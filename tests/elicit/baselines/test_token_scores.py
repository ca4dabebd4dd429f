from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.elicit.baselines import token_scores as module
from workbench.elicit.baselines.token_scores import token_scores
from workbench.models import LanguageModel
from workbench.models.unembed import unembed


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_scores_are_those_of_the_whole_softmax(
    make_tiny: Callable[..., LanguageModel], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks of three, whose borders must not show."""
    lm = make_tiny(family)
    monkeypatch.setattr(module, "CHUNK_ROWS", 3)
    states = torch.randn(8, lm.width, generator=torch.Generator().manual_seed(0))
    tokens, stop = torch.arange(8) * 7, torch.arange(384) % 50 == 0
    found = token_scores(lm, states, tokens, stop)
    probabilities = unembed(lm, states).double().softmax(dim=-1)
    for row in range(8):
        assert found.chosen[row] == pytest.approx(
            float(probabilities[row, tokens[row]].log()), abs=1e-5
        )
        assert found.stop[row] == pytest.approx(
            float(probabilities[row, stop].sum().log()), abs=1e-5
        )
        entropy = -float((probabilities[row] * probabilities[row].log()).sum())
        assert found.entropy[row] == pytest.approx(entropy, abs=1e-5)
