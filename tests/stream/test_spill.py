from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.stream.spill import SMALLEST, SpillFolder, bring_back

MANY = SMALLEST // 4


def test_a_spilled_tensor_keeps_its_numbers_and_its_place(tmp_path: Path) -> None:
    folder = SpillFolder(tmp_path)
    states = torch.randn(4, MANY)
    frame, before = {"states": states}, states.clone()
    moved = folder.spill([states])
    assert folder.holds(frame["states"])
    assert torch.equal(frame["states"], before)
    assert folder.bytes_written == folder.bytes_held == states.numel() * 4
    folder.spill([states])  # lets go of the pages again, and copies nothing
    assert folder.bytes_written == states.numel() * 4
    assert torch.equal(states, before)
    states.add_(1)
    assert torch.equal(states, before + 1)
    bring_back(moved)
    assert list(tmp_path.iterdir()) == []
    del states, frame
    assert folder.bytes_held == 0


def test_small_ones_and_views_of_larger_ones_stay(tmp_path: Path) -> None:
    folder = SpillFolder(tmp_path)
    large = torch.zeros(2, MANY)
    few, row = torch.zeros(10), large[0]
    repeated, trained = torch.zeros(1, MANY).expand(4, MANY), torch.zeros(MANY, requires_grad=True)
    folder.spill([few, row, repeated, trained])
    assert folder.bytes_written == 0
    folder.spill([large, torch.zeros(MANY, dtype=torch.bool)])
    assert folder.bytes_written == 2 * MANY * 4
    row.fill_(3)
    assert float(large.sum()) == 0  # a view keeps the memory it was a view of


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"no folder .*missing to spill into"):
        SpillFolder(tmp_path / "missing")
