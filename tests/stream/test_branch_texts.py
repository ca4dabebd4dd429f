"""A streamed model writes the texts under patches that it writes in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from workbench.models import LanguageModel
from workbench.patch.generation import generate_branches
from workbench.patch.text_branches import TextBranch
from workbench.trace import Patch, Site

ROWS = [list(range(5, 17)), [60, 61, 62, 63], [40, 41]]
ENDS = torch.tensor([len(row) - 1 for row in ROWS])


def patch(site: Site, seed: int, mode: Any = "replace") -> Patch:
    value = torch.randn((3, 32), generator=torch.Generator().manual_seed(seed))
    return Patch(site, ENDS, 2 * value, mode)


def test_texts_are_those_in_memory(
    tiny_lm: LanguageModel, make_streamed: Callable[..., Any]
) -> None:
    streamed, _ = make_streamed(tiny_lm)
    branches = [TextBranch([patch(Site(1), 1)]), TextBranch(held=[patch(Site(2), 2, "add")])]
    here, there = (generate_branches(lm, ROWS, branches, limit=4) for lm in (tiny_lm, streamed))
    for ours, theirs in zip(here.patched, there.patched, strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            assert mine[0].tokens == other[0].tokens
            assert mine[0].log_probabilities == pytest.approx(
                np.array(other[0].log_probabilities), abs=1e-4
            )
