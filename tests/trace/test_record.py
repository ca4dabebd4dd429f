from __future__ import annotations

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.record import record_states

ROWS = [[5, 6, 7, 8, 9, 10], [20, 21, 22], [30, 31, 32, 33]]


def test_states_are_the_rows_own_at_the_positions_asked_for(tiny_lm: LanguageModel) -> None:
    """The last layer's before the final norm; positions in the order asked for, repeats included."""
    positions = [[5, 0, 2], [1, 2, 1], [3, 3, 0]]
    states = record_states(tiny_lm, ROWS, positions)
    for row, ids in enumerate(ROWS):
        with torch.no_grad():
            own = tiny_lm.base()(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
        for layer in range(3):
            torch.testing.assert_close(states[row, layer], own[layer + 1][0, positions[row]], rtol=1e-4, atol=1e-5)
        normed = tiny_lm.final_norm()(states[row, 3])
        torch.testing.assert_close(normed, own[4][0, positions[row]], rtol=1e-4, atol=1e-5)


def test_a_position_outside_its_prompt_is_refused(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="outside its prompt"):
        record_states(tiny_lm, ROWS, [[5], [3], [0]])
