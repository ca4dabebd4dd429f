from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support.segments import scale_inputs
from workbench.elicit.segments import AFTER_ANSWER, ANSWER, CONFIDENCE, QUESTION, Segment
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.branches import Cell, head_sites, layer_sites, single_cells
from workbench.patch.effect_map import Axis, EffectMap
from workbench.patch.inputs import DonorPairs, ModelInputs, Reading
from workbench.patch.segments import (
    align,
    orient_to_donor,
    pair_half_ranks_apart,
    patch_cells,
)


def pairs(inputs: ModelInputs, reading: Reading, partner: np.ndarray) -> DonorPairs:
    return DonorPairs(inputs, inputs, partner, np.zeros(len(partner)), [], reading)


def test_ends_are_aligned_as_far_as_both_reach() -> None:
    part = Segment("answer", (2, 5, 1), (5, 6, 1))
    here, there = align(part, np.array([0, 1, 2]), np.array([1, 0, 0]))
    assert here.tolist() == [[4, 5], [5, 6], [1, 1]]
    assert there.tolist() == [[5, 6], [4, 5], [5, 5]]


def test_the_numbers_further_tokens_stand_behind_each_prompt() -> None:
    part = Segment(CONFIDENCE, (4, 6), (4, 6))
    here, there = align(part, np.array([1]), np.array([1, 0]), 2)
    assert here.tolist() == [[6, 7, 8]]
    assert there.tolist() == [[4, 5, 6]]


def test_the_last_layer_at_the_number_gives_the_donors_readout_and_own_states_nothing(
    tiny_lm: LanguageModel,
) -> None:
    inputs, reading, parts = scale_inputs(tiny_lm)
    rows, partner = np.arange(4), np.array([2, 3, 0, 1])
    stated = reading.unpatched(inputs).numpy()
    assert np.ptp(stated) > 1e-3
    cells = single_cells(layer_sites([0, 3]), [parts[ANSWER], parts[CONFIDENCE]])
    base, patched = patch_cells(pairs(inputs, reading, partner), cells, rows)
    assert base == pytest.approx(stated, abs=1e-6)
    assert patched[:, 3] == pytest.approx(stated[partner], abs=1e-5)
    assert patched[:, 2] == pytest.approx(stated, abs=1e-5)
    assert np.abs(patched[:, 0] - stated).max() > 1e-4
    _, own = patch_cells(pairs(inputs, reading, rows), cells, rows)
    assert own == pytest.approx(np.tile(stated[:, None], 4), abs=1e-5)


def test_several_parts_and_layers_are_written_together(
    make_tiny: Callable[..., LanguageModel],
) -> None:
    lm = make_tiny("qwen2")
    inputs, reading, parts = scale_inputs(lm)
    cell = Cell(tuple(layer_sites(range(4))), (parts[AFTER_ANSWER], parts[CONFIDENCE]))
    rows, partner = np.array([0, 1]), np.array([1, 0, 3, 2])
    _, both = patch_cells(pairs(inputs, reading, partner), [cell], rows)
    assert both[:, 0] == pytest.approx(
        reading.unpatched(inputs.of_rows(partner[rows])).numpy(), abs=1e-5
    )


def test_one_cell_is_the_engines_branch(tiny_lm: LanguageModel) -> None:
    """Rows computed apart give the rows computed together; heads are cells as well."""
    inputs, reading, parts = scale_inputs(tiny_lm)
    partner = np.array([1, 2, 3, 0])
    cells = single_cells(head_sites([1, 2], [0, 3]), [parts[QUESTION]])
    across = pairs(inputs, reading, partner)
    _, together = patch_cells(across, cells, np.arange(4))
    apart = [patch_cells(across, cells, np.array([row]))[1][0] for row in range(4)]
    assert np.stack(apart) == pytest.approx(together, abs=1e-5)
    assert np.abs(together - together[:, :1]).max() > 1e-5


def test_half_of_the_partners_lie_above() -> None:
    readout = np.array([0.9, 0.1, 0.5, 0.4, 0.8, 0.2])
    partner = pair_half_ranks_apart(readout)
    assert sorted(partner) == list(range(6))
    assert (partner[partner] == np.arange(6)).all()
    assert (readout[partner] > readout).sum() == 3
    assert np.abs(readout[partner] - readout).min() == pytest.approx(0.4)
    with pytest.raises(WorkbenchError, match="even number"):
        pair_half_ranks_apart(np.arange(3.0))


def test_turned_over_a_move_of_the_level_cancels_and_following_stays() -> None:
    readout = np.array([0.9, 0.1, 0.5, 0.4, 0.8, 0.2])
    donor = readout[pair_half_ranks_apart(readout)]
    level, follows = readout + 0.2, 0.5 * readout + 0.5 * donor
    turned = orient_to_donor(
        EffectMap((Axis("layer", (0, 1)),), readout, donor, np.stack([level, follows], axis=1))
    )
    assert (turned.donor > turned.base).all()
    moved = turned.patched - turned.base[:, None]
    assert moved.mean(axis=0) / (turned.donor - turned.base).mean() == pytest.approx(
        [0, 0.5], abs=1e-12
    )
