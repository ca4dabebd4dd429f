from __future__ import annotations

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends.inputs import (
    in_forward_order,
    position_rows,
    require_whole_model,
)
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site

CPU = torch.device("cpu")


@pytest.mark.parametrize("positions", [[[0]], [[0], [0, 0]], [[0], [0], [0]]])
def test_ragged_positions_are_refused(positions: list[list[int]]) -> None:
    with pytest.raises(WorkbenchError, match="2 rows with as many positions each"):
        position_rows(positions, 2)


def test_patches_come_in_forward_order_and_keep_theirs_at_one_site() -> None:
    def patch(site: Site, value: float) -> Patch:
        return Patch(site, torch.tensor([0]), torch.full((1, 2), value))

    branch = [
        patch(Site(1), 1),
        patch(Site(2, "resid_pre"), 2),
        patch(Site(1, "head_out", 3), 3),
        patch(Site(1), 4),
    ]
    found = [float(one.value[0, 0]) for one in in_forward_order(branch)]
    assert found == [3, 1, 4, 2]


def test_models_split_over_processes_are_refused(tiny_lm: LanguageModel) -> None:
    require_whole_model(tiny_lm, "nnsight")
    tiny_lm.model._tp_size = 2
    with pytest.raises(
        WorkbenchError, match="nnsight backend cannot run a tensor-parallel model; use the 'packed'"
    ):
        require_whole_model(tiny_lm, "nnsight")
