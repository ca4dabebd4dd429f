from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.support.scale_prompts import PROMPTS, trie_of
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.mean_gradients import mean_gradients
from workbench.patch.metrics import Metric, high_log_odds_of
from workbench.patch.written_confidence import number_positions
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site

STEP = 1e-2
BUDGET = 10**6


def slope(lm: LanguageModel, metric: Metric, layer: int, place: int, way: torch.Tensor) -> float:
    """The central difference of the mean metric for a step at one layer and place."""
    where = number_positions(PROMPTS, trie_of(lm))[:, place]
    branches = [
        [Patch(Site(layer), where, (sign * STEP * way).expand(len(PROMPTS), -1), "add")]
        for sign in (1, -1)
    ]
    moved = Reading(metric, BUDGET).values(ModelInputs(lm, PROMPTS), branches).patched.mean(dim=0)
    return float(moved[0] - moved[1]) / (2 * STEP)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_gradients_are_the_slopes_of_true_patches(
    make_tiny: Callable[..., LanguageModel], family: str
) -> None:
    lm = make_tiny(family, "digits")
    trie = trie_of(lm)
    metric = high_log_odds_of(trie)
    run = ModelInputs(lm, PROMPTS, number_positions(PROMPTS, trie))
    layers = [1, lm.n_layers - 1]
    found = mean_gradients(run, layers, metric, tokens_per_forward=BUDGET)
    assert found.shape == (2, 1 + trie.tree.size, lm.width)
    draw = torch.Generator().manual_seed(3)
    for at, layer in enumerate(layers):
        for place in (0, 1):
            way = torch.randn(lm.width, generator=draw)
            expected = slope(lm, metric, layer, place, way)
            assert float(found[at, place] @ way) == pytest.approx(expected, rel=0.02, abs=2e-4)
    assert found.abs().amax() > 1e-4


def test_batches_do_not_change_the_mean(make_tiny: Callable[..., LanguageModel]) -> None:
    lm = make_tiny("llama", "digits")
    trie = trie_of(lm)
    run = ModelInputs(lm, PROMPTS, number_positions(PROMPTS, trie))
    whole, cut = (
        mean_gradients(run, [0, 2], high_log_odds_of(trie), tokens_per_forward=budget)
        for budget in (BUDGET, 1)
    )
    torch.testing.assert_close(whole, cut, atol=1e-6, rtol=1e-4)


def test_layers_that_are_not_there_are_refused(make_tiny: Callable[..., LanguageModel]) -> None:
    lm = make_tiny("llama", "digits")
    metric = high_log_odds_of(trie_of(lm))
    for layers in ([], [lm.n_layers]):
        with pytest.raises(WorkbenchError, match="Gradients need layers from 0 to"):
            mean_gradients(ModelInputs(lm, PROMPTS), layers, metric, tokens_per_forward=BUDGET)
