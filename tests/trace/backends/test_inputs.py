from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends import backend
from workbench.trace.backends.inputs import (
    checked_columns,
    checked_writes,
    in_forward_order,
    model_inputs,
    padded,
    position_rows,
    require_one_process,
)
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site

CPU = torch.device("cpu")


def test_positions_become_columns_of_the_left_padded_batch(tiny_lm: LanguageModel) -> None:
    batch = padded(tiny_lm, [[5, 6, 7], [8]], CPU)
    assert batch.tokens.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert checked_columns(tiny_lm, batch, [[0, 2], [0, 0]], [Site(0)]).tolist() == [[0, 2], [2, 2]]
    assert checked_columns(tiny_lm, batch, torch.tensor([[1], [0]]), [Site(0)]).tolist() == [
        [1],
        [2],
    ]
    inputs = model_inputs(batch)
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2], [0, 0, 0]]


@pytest.mark.parametrize("positions", [[[0]], [[0], [0, 0]], [[0], [0], [0]]])
def test_ragged_positions_are_refused(positions: list[list[int]]) -> None:
    with pytest.raises(WorkbenchError, match="2 rows with as many positions each"):
        position_rows(positions, 2)


@pytest.mark.parametrize("positions", [[[3], [0]], [[0], [1]], [[-1], [0]]])
def test_positions_in_the_padding_or_outside_are_refused(
    tiny_lm: LanguageModel, positions: list[list[int]]
) -> None:
    with pytest.raises(WorkbenchError, match="outside its prompt"):
        checked_columns(tiny_lm, padded(tiny_lm, [[5, 6, 7], [8]], CPU), positions, [Site(0)])


def test_sites_the_model_lacks_are_refused(tiny_lm: LanguageModel) -> None:
    batch = padded(tiny_lm, [[5, 6, 7], [8]], CPU)
    for sites in ([], [Site(4)], [Site(0, "head_out", 4)], [Site(0), Site(0, "head_out", 1)]):
        with pytest.raises(WorkbenchError):
            checked_columns(tiny_lm, batch, [[0], [0]], sites)


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
    require_one_process(tiny_lm, "nnsight")
    tiny_lm.model._tp_size = 2
    with pytest.raises(
        WorkbenchError, match="nnsight backend cannot run a tensor-parallel model; use the 'hooks'"
    ):
        require_one_process(tiny_lm, "nnsight")


def test_donors_of_another_width_or_batch_are_refused(tiny_lm: LanguageModel) -> None:
    batch = padded(tiny_lm, [[5, 6, 7], [8]], CPU)
    for site, value in (
        (Site(0), torch.zeros(2, 64)),
        (Site(0), torch.zeros(1, 32)),
        (Site(0, "head_out", 0), torch.zeros(2, 32)),
    ):
        patch = Patch(site, torch.zeros(len(value), dtype=torch.long), value)
        with pytest.raises(WorkbenchError, match="of the same width"):
            checked_writes(tiny_lm, batch, [[patch]])


def test_a_write_owns_its_values(tiny_lm: LanguageModel) -> None:
    """A slice of a recording would otherwise keep, and be sent with, the whole of it."""
    batch = padded(tiny_lm, [[5, 6, 7], [8]], CPU)
    large = torch.randn(2, 100, 32)
    patch = Patch(Site(1), torch.tensor([1, 0]), large[:, 3], "add")
    [[write]] = checked_writes(tiny_lm, batch, [[patch]])
    assert write.columns.tolist() == [1, 2]
    assert write.add
    assert write.value.equal(large[:, 3])
    assert write.value.untyped_storage().nbytes() == 2 * 32 * 4


def test_recurrent_families_take_prompts_of_one_length(
    make_tiny: Callable[..., LanguageModel],
) -> None:
    lm = make_tiny("falcon_h1")
    with pytest.raises(WorkbenchError, match=r"not valid for falcon_h1.*prompts of one length"):
        padded(lm, [[5, 6, 7], [8]], CPU)
    own = lm.model(torch.tensor([[5, 6, 7], [8, 9, 5]]), output_hidden_states=True).hidden_states
    states = backend("nnsight", lm).record(
        [[5, 6, 7], [8, 9, 5]], [[1], [2]], [Site(1), Site(2, "resid_pre")]
    )
    torch.testing.assert_close(states[:, 0, 0], own[2][[0, 1], [1, 2]])
    torch.testing.assert_close(states[:, 1, 0], own[2][[0, 1], [1, 2]])
