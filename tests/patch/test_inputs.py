from __future__ import annotations

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.inputs import ModelInputs, batch_of, recorded, require_run
from workbench.trace.record import record
from workbench.trace.sites import Site
from workbench.trace.token_tree import TokenTree

PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35]]
NODES = TokenTree((40, 41), (-1, 0))
POSITIONS = torch.tensor([[2, 7, 9], [0, 3, 5], [1, 6, 7]])


def test_positions_become_columns_of_the_padded_batch(tiny_lm: LanguageModel) -> None:
    """Row 1 is padded to six columns; positions behind a prompt are the nodes' columns."""
    batch = batch_of(ModelInputs(tiny_lm, PROMPTS, POSITIONS), torch.tensor([2, 1]), NODES)
    assert batch.columns.tolist() == [[1, 6, 7], [2, 5, 7]]
    assert batch.ends.tolist() == [[5, 6, 7]] * 2
    tokens = torch.cat([batch.prompts.tokens, batch.tail.tokens], dim=1)
    assert tokens.gather(1, batch.columns).tolist() == [[31, 40, 41], [20, 23, 41]]


def test_recorded_in_small_batches_and_in_row_order(tiny_lm: LanguageModel) -> None:
    sites = [Site(0), Site(2, "mlp_out")]
    found = recorded(ModelInputs(tiny_lm, PROMPTS, POSITIONS), sites, [2, 0], 9, NODES)
    expected = record(tiny_lm, PROMPTS, POSITIONS[:, [2, 0]].tolist(), sites, tree=NODES)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_mistakes_are_named(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="whole numbers"):
        ModelInputs(tiny_lm, PROMPTS, POSITIONS.float())
    with pytest.raises(WorkbenchError, match="as many rows as prompts"):
        ModelInputs(tiny_lm, PROMPTS[:2], POSITIONS)
    require_run(ModelInputs(tiny_lm, PROMPTS, POSITIONS), 2)
    with pytest.raises(WorkbenchError, match="Position 9 of prompt 0 lies outside its prompt"):
        require_run(ModelInputs(tiny_lm, PROMPTS, POSITIONS), 1)
