from __future__ import annotations

import torch

from workbench.bench.inputs import make_inputs
from workbench.bench.position_map import SAMPLED, cells, position_map
from workbench.models import LanguageModel


def test_cells_are_every_layer_at_every_late_position(tiny_lm: LanguageModel) -> None:
    bench_inputs = make_inputs(tiny_lm, rows=2, tokens=10, positions=5)
    grid = cells(bench_inputs, 3)
    assert len(grid) == 4 * 3
    [patch] = grid[4]
    assert (patch.site.layer, patch.positions.tolist()) == (1, [8, 8])
    torch.testing.assert_close(patch.value, bench_inputs.donors[:, 1, 3])


def test_the_map_is_measured_and_the_loop_estimated(tiny_lm: LanguageModel) -> None:
    found = position_map(make_inputs(tiny_lm, rows=2, tokens=12, positions=6), 1)
    assert found["position_map.cells"] == 24
    assert found["position_map.packed_vs_loop"] < 1e-4
    assert found["position_map_loop_over_packed.estimated"] is True
    assert found["position_map.loop_cells_measured"] == SAMPLED
    estimate = found["seconds.position_map_loop_estimated"] / found["seconds.position_map"]
    assert abs(found["position_map_loop_over_packed"] / estimate - 1) < 1e-9
