"""What must be told in a moment loads no model library."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "sklearn",
    "scipy",
    "transformer_lens",
    "nnsight",
    "datasets",
)


@pytest.mark.parametrize(
    "module",
    [
        "workbench",
        "workbench.cli.app",
        "workbench.loop",
        "workbench.models",
        "workbench.pipeline.store",
        "workbench.experiments.catalogue",
        "workbench.notebook",
    ],
)
def test_importing_it_loads_no_model_library(module: str) -> None:
    said = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
