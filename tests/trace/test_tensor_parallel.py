"""A model split over two processes (gloo, CPU) records and patches as the whole one does."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.support.launched import TORCHRUN, launch
from tests.support.scripts import load_script
from workbench.loading import load_model

WORKER = Path(__file__).with_name("tensor_parallel_worker.py")


def test_two_processes_agree_with_one(tiny_folder: Path, tmp_path: Path) -> None:
    """Heads lie two and two in the processes; each returns all four."""
    generator = torch.Generator().manual_seed(0)
    donors = {
        name: torch.randn((2, n, w), generator=generator)
        for name, n, w in (("heads", 8, 8), ("stream", 5, 32))
    }
    save_file(donors, tmp_path / "donors.safetensors")
    launch(TORCHRUN, WORKER, tiny_folder, tmp_path / "donors.safetensors", tmp_path)
    expected = load_script(WORKER).results(
        load_model(str(tiny_folder), device="cpu"), donors["heads"], donors["stream"]
    )
    for rank in range(2):
        found = load_file(tmp_path / f"{rank}.safetensors")
        assert set(found) == set(expected)
        for name, tensor in expected.items():
            torch.testing.assert_close(
                found[name], tensor, rtol=1e-4, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}"
            )
