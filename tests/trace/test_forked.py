from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.support.recurrent_models import build_recurrent
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.components import missing_component_reason
from workbench.trace import Branch, Patch, Site, TokenTree, loop_branches, patch_branches
from workbench.trace.checks import site_width

ROWS = [list(range(5, 29)), list(range(60, 84)), list(range(30, 49))]
LENGTHS = torch.tensor([len(row) for row in ROWS])
TREE = TokenTree((40, 41, 42), (-1, 0, -1))
FAMILIES = (
    "falcon_h1",
    "qwen3_next",
    "qwen3_5_text",
    "olmo_hybrid",
    "minimax",
    "granitemoehybrid",
    "zamba2",
    "jamba",
    "lfm2",
    "mamba2",
    "recurrent_gemma",
)
pytestmark = pytest.mark.filterwarnings("ignore:.*(rows of equal length|whole string):UserWarning")


def some_logits(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, :50].float()


def at(site: Site, lm: LanguageModel, *back: int, mode: Any = "replace", seed: int = 0) -> Patch:
    """A patch at so many tokens before the end of each of the first rows; 0 is the first node."""
    rows = len(back)
    value = torch.randn((rows, site_width(lm, site)), generator=torch.Generator().manual_seed(seed))
    return Patch(site, LENGTHS[:rows] - torch.tensor(back), value, mode)


def every_kind(lm: LanguageModel) -> list[Branch]:
    """The last token, a window of layers, tokens that differ from row to row, a token far from the
    end, a node, a node after a token, and slices where the family has them.
    """
    out: list[Branch] = [
        [at(Site(0), lm, 1, 1)],
        [at(Site(1), lm, 1, 1), at(Site(2), lm, 1, 1, mode="add")],
        [at(Site(1, "resid_pre"), lm, 3, 1)],
        [at(Site(0), lm, 20, 21)],
        [at(Site(2), lm, -1, -1)],
        [at(Site(1), lm, 2, 2), at(Site(2), lm, 0, 0)],
    ]
    for site in (Site(1, "mlp_out"), Site(1, "head_out", 2), Site(2, "neuron", 5, 4)):
        if not missing_component_reason(lm, site.component):
            out.append([at(site, lm, 1, 2)])
    return out


@pytest.mark.parametrize("family", FAMILIES)
def test_forks_are_the_loop_of_whole_strings(family: str) -> None:
    lm = build_recurrent(family)
    branches, tree = every_kind(lm), TokenTree((40, 41), (-1, 0))
    loop, forks = (
        run(lm, ROWS[:2], branches, some_logits, tokens_per_forward=150, tree=tree)
        for run in (loop_branches, patch_branches)
    )
    assert float((loop.patched - loop.base[:, None]).abs().amax(dim=(0, 2, 3)).min()) > 1e-3
    torch.testing.assert_close(forks.base, loop.base, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(forks.patched, loop.patched, rtol=1e-4, atol=1e-4)


def tokens_of(lm: LanguageModel) -> list[torch.Size]:
    """The shapes of all passes from here on."""
    seen: list[torch.Size] = []
    lm.decoder().register_forward_pre_hook(
        lambda _module, _args, given: seen.append(given["input_ids"].shape), with_kwargs=True
    )
    return seen


def sweep(lm: LanguageModel) -> list[Branch]:
    return [[at(Site(layer), lm, 1, 1, 1, seed=layer)] for layer in range(4)]


def test_a_sweep_costs_its_prompts_and_a_token_a_branch_and_node() -> None:
    """Prompts of 24, 24 and 19 tokens, without their last token and with it, then four branches and
    five ends of three nodes each.
    """
    lm = build_recurrent("falcon_h1")
    patch_branches(lm, ROWS, sweep(lm), some_logits, tokens_per_forward=1000)
    passes = tokens_of(lm)
    patch_branches(lm, ROWS, sweep(lm), some_logits, tokens_per_forward=1000, tree=TREE)
    assert sum(shape.numel() for shape in passes) == 24 + 24 + 19 + 3 * 4 + 3 * 5 * 3
    assert [tuple(shape) for shape in passes[:2]] == [(2, 23), (10, 1)]
    with pytest.raises(StopIteration):  # no pass computes anything of a prompt a second time
        next(shape for shape in passes[2:] if shape[1] not in (1, 18))


def test_passes_keep_to_the_bound() -> None:
    """Tokens that are continued count: five strings of 24 tokens are 120."""
    lm = build_recurrent("falcon_h1")
    whole = patch_branches(lm, ROWS, sweep(lm), some_logits, tokens_per_forward=1000, tree=TREE)
    passes = tokens_of(lm)
    found = patch_branches(lm, ROWS, sweep(lm), some_logits, tokens_per_forward=72, tree=TREE)
    assert max(shape[0] for shape in passes) == 3
    torch.testing.assert_close(found.patched, whole.patched, rtol=1e-4, atol=1e-4)


def test_what_a_branch_does_not_reach_is_the_unpatched_reading_to_the_bit() -> None:
    lm = build_recurrent("qwen3_next")
    branches: Sequence[Branch] = [[at(Site(2), lm, -1, -1, -1)]]  # node 1, after node 0
    found = patch_branches(lm, ROWS, branches, some_logits, tokens_per_forward=1000, tree=TREE)
    moved = (found.patched[:, 0] - found.base).abs().amax(dim=(0, 2))
    assert (moved[[0, 1, 3]] == 0).all()
    assert moved[2] > 1e-3


def test_one_warning_says_how_the_family_runs() -> None:
    lm = build_recurrent("lfm2")
    with pytest.warns(UserWarning, match="lfm2 is run on rows of equal length, and branches from"):
        patch_branches(lm, ROWS, sweep(lm), some_logits, tokens_per_forward=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        patch_branches(lm, ROWS, sweep(lm), some_logits, tokens_per_forward=1000)


def test_prompts_longer_than_the_model_reads_are_refused() -> None:
    lm = build_recurrent("lfm2", max_position_embeddings=25)
    with pytest.raises(WorkbenchError, match="takes 26 tokens and the model"):
        patch_branches(lm, ROWS, sweep(lm), some_logits, tokens_per_forward=1000, tree=TREE)
