from __future__ import annotations

import pytest
import torch

from workbench.models import LanguageModel
from workbench.trace.decoder import decode, stop_with
from workbench.trace.hooks import on_outputs

IDS = torch.tensor([[5, 6, 7]])
POSITIONS = torch.arange(3)[None]


def test_a_pass_ends_at_the_stop_after_what_was_asked_for(tiny_lm: LanguageModel) -> None:
    seen: list[torch.Tensor] = []

    def keep(hidden: torch.Tensor) -> torch.Tensor:
        seen.append(hidden)
        return hidden

    with on_outputs(tiny_lm, {1: stop_with(keep), 2: keep}):
        assert decode(tiny_lm, IDS, POSITIONS, None, None).shape == (1, 3, 0)
    assert len(seen) == 1
    with torch.no_grad():
        expected = tiny_lm.decoder()(input_ids=IDS, output_hidden_states=True)
    assert torch.equal(seen[0], expected.hidden_states[2])
    assert torch.equal(decode(tiny_lm, IDS, POSITIONS, None, None), expected.last_hidden_state)


def test_other_errors_pass_through(tiny_lm: LanguageModel) -> None:
    def fail(hidden: torch.Tensor) -> torch.Tensor:
        raise KeyError("mine")

    with on_outputs(tiny_lm, {1: fail}), pytest.raises(KeyError, match="mine"):
        decode(tiny_lm, IDS, POSITIONS, None, None)
