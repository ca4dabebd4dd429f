from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from workbench.bench.inputs import make_inputs
from workbench.bench.pyvene_library import PyveneLibrary
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.branches import layer_sites, position_branches, site_branches
from workbench.trace.hooked_loop import loop_branches

pytest.importorskip("pyvene")


def test_padded_prompts_and_other_positions_agree_with_the_loop(tiny_lm: LanguageModel) -> None:
    prompts = [[20, 21, 22, 23, 24, 25], [30, 31, 32, 33]]
    at, donors = (
        torch.tensor([[2, 5], [0, 3]]),
        torch.randn(2, 4, 2, 32, generator=torch.Generator().manual_seed(1)),
    )
    branches = position_branches(layer_sites(range(4), "resid_pre"), at, donors)
    readout = make_inputs(tiny_lm, 1, 4).readout
    expected = loop_branches(tiny_lm, prompts, branches, readout, tokens_per_forward=10**6)
    found = PyveneLibrary(tiny_lm).patch(prompts, branches, readout)
    torch.testing.assert_close(found.patched, expected.patched, atol=1e-5, rtol=1e-5)


def test_what_it_cannot_reach_is_refused(tiny_lm: LanguageModel) -> None:
    bench_inputs = make_inputs(tiny_lm, 1, 4)
    [branch] = site_branches(
        layer_sites([1], "mlp_out"), torch.tensor([3]), bench_inputs.donors[:, [1], -1]
    )
    with pytest.raises(WorkbenchError, match="replaces resid_pre and resid_post"):
        PyveneLibrary(tiny_lm).patch(bench_inputs.prompts, [branch], bench_inputs.readout)
    [added] = bench_inputs.layers([1])
    with pytest.raises(WorkbenchError, match="replaces"):
        PyveneLibrary(tiny_lm).patch(
            bench_inputs.prompts, [[replace(added[0], mode="add")]], bench_inputs.readout
        )
