from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import dispatch_model

from workbench.models import LanguageModel
from workbench.models.slices import SLICED
from workbench.models.validate import validate
from workbench.trace import COMPONENTS, Branch, Site, patch_branches, record

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35, 36]]


def split_over(lm: LanguageModel, on_disk: set[str], folder: Path) -> LanguageModel:
    names = [
        "model.embed_tokens",
        "model.rotary_emb",
        *(f"model.layers.{i}" for i in range(4)),
        "model.norm",
        "lm_head",
    ]
    places = {name: "disk" if name in on_disk else "cpu" for name in names}
    return lm.with_model(
        dispatch_model(lm.model, device_map=places, offload_dir=folder, main_device="cpu")
    )


@pytest.mark.parametrize(
    "on_disk",
    [
        {"model.layers.1", "model.layers.2"},
        {"model.embed_tokens", "model.layers.0", "model.layers.3", "lm_head"},
    ],
)
def test_layers_kept_on_disk_give_the_same(
    make_tiny: MakeTiny,
    every_branch: Callable[..., list[Branch]],
    on_disk: set[str],
    tmp_path: Path,
) -> None:
    """Hooks stand beside those that load weights for each use; skipped layers are not loaded,
    and all are put away.
    """
    whole, split = make_tiny(), split_over(make_tiny(), on_disk, tmp_path)
    validate(split)
    assert split.device == torch.device("cpu")
    branches = every_branch(whole)
    for budget in (1000, 150):
        found = patch_branches(
            split, ROWS, branches, lambda x: x[:, :50], tokens_per_forward=budget
        )
        expected = patch_branches(
            whole, ROWS, branches, lambda x: x[:, :50], tokens_per_forward=budget
        )
        torch.testing.assert_close(found.patched, expected.patched, rtol=1e-5, atol=1e-6)
    sites = [Site(1, c) for c in COMPONENTS if c not in SLICED]
    at = [[9, 0], [3, 0], [6, 0]]
    torch.testing.assert_close(record(split, ROWS, at, sites), record(whole, ROWS, at, sites))
    for name in on_disk:
        assert all(p.device.type == "meta" for p in split.base().get_submodule(name).parameters())
