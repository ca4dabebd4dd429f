from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workbench.bench.teach_memory import peak_of_block, peaks
from workbench.errors import WorkbenchError


def test_the_peak_holds_what_was_there_for_a_moment() -> None:
    cpu = torch.device("cpu")
    with peak_of_block(cpu) as before:
        pass
    with peak_of_block(cpu) as peak:
        block = torch.ones(1 << 26)
        assert block.sum() > 0
        del block
    assert peak[0] > before[0] + 150 * 2**20


def test_a_process_of_its_own_measures_a_training(tiny_folder: Path) -> None:
    """Its libraries alone take more than a hundred megabytes."""
    found = peaks(str(tiny_folder), ["partial"], 8, 3)
    assert found.keys() == {"partial"}
    assert found["partial"] > 1e8


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="measures the memory of 'full' failed"):
        peaks(str(tmp_path / "nothing"), ["full"], 8, 1)
