from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench import load_model
from workbench.compat import has_bfloat16_units
from workbench.models.kernel_caches import KERNELS, VARIABLES, bound_kernel_caches

SHAPES = """
import ctypes
import torch
from workbench.models.kernel_caches import bound_kernel_caches

class Heap(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Heap
held = lambda: libc.mallinfo2().uordblks + libc.mallinfo2().hblkhd
bound_kernel_caches()
torch.set_num_threads(1)
matrix = torch.zeros(64, 64, dtype=torch.bfloat16)
torch.nn.functional.linear(torch.zeros(99, 64, dtype=torch.bfloat16), matrix)
before = held()
for rows in range(100, 400):
    torch.nn.functional.linear(torch.zeros(rows, 64, dtype=torch.bfloat16), matrix)
print(held() - before)
"""


def test_kernels_of_many_shapes_are_not_all_kept() -> None:
    """300 shapes leave about 150 MB where nothing bounds them, and 32 with the bound."""
    if not has_bfloat16_units() or not sys.platform.startswith("linux"):
        pytest.skip("kernels of bfloat16 products, counted by glibc")
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", SHAPES], capture_output=True, text=True, check=True, env=clean
    )
    assert int(done.stdout) < 0.8e6 * KERNELS


def test_what_the_environment_says_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLES[0], "7")
    monkeypatch.delenv(VARIABLES[1], raising=False)
    bound_kernel_caches()
    assert [os.environ[name] for name in VARIABLES] == ["7", str(KERNELS)]


def test_loading_a_model_bounds_them(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    load_model(str(tiny_folder))
    assert [os.environ.get(name) for name in VARIABLES] == [str(KERNELS)] * 2
