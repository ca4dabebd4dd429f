from __future__ import annotations

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.inputs import ModelInputs
from workbench.patch.recorded_branches import record_branches
from workbench.trace.edits import ColumnWrite
from workbench.trace.forward import forward
from workbench.trace.interventions import Patch
from workbench.trace.layout import empty_tail, pad_prompts
from workbench.trace.sites import Component, Site

PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35]]
POSITIONS = torch.tensor([[3, 6], [1, 3], [2, 2]])


def values(seed: int) -> torch.Tensor:
    return torch.randn((3, 32), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("budget", [10**6, 9])
@pytest.mark.parametrize(
    ("layer", "component"), [(0, "resid_pre"), (2, "resid_pre"), (2, "resid_mid")]
)
def test_branches_record_what_a_written_forward_records(
    tiny_lm: LanguageModel, layer: int, component: Component, budget: int
) -> None:
    run, sites = ModelInputs(tiny_lm, PROMPTS, POSITIONS), [Site(layer, "mlp_out"), Site(layer)]
    sent, read = POSITIONS.unbind(dim=1)
    patches = [Patch(Site(layer, component), sent, values(seed), "add") for seed in range(3)]
    found = record_branches(run, patches, read, sites, tokens_per_forward=budget)
    assert found.shape == (3, 3, 2, 32)
    padded = pad_prompts(PROMPTS, tiny_lm.tokenizer.pad_token_id, tiny_lm.device)
    for number, patch in enumerate(patches):
        write = ColumnWrite(
            layer, padded.column_of(sent[:, None]), patch.value[:, None], component, add=True
        )
        columns = padded.column_of(read[:, None])
        result = forward(
            tiny_lm,
            padded,
            empty_tail(padded),
            columns,
            record=columns,
            sites=sites,
            writes=[write],
        )
        assert result.recorded is not None
        torch.testing.assert_close(found[:, number], result.recorded[:, :, 0], rtol=1e-4, atol=1e-5)


def test_branches_read_below_their_patch_are_refused(tiny_lm: LanguageModel) -> None:
    run, patch = (
        ModelInputs(tiny_lm, PROMPTS, POSITIONS),
        Patch(Site(2), POSITIONS[:, 0], values(0)),
    )
    for sites in ([Site(2, "mlp_out")], [Site(3), Site(3, "attn_out"), Site(2)]):
        with pytest.raises(WorkbenchError, match="not below"):
            record_branches(run, [patch], POSITIONS[:, 1], sites, tokens_per_forward=100)
