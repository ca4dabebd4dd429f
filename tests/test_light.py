"""What must be told in a moment loads no model library."""

from __future__ import annotations

import json
import subprocess
import sys

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
LIGHT = (
    "workbench",
    "workbench.cli.app",
    "workbench.loop",
    "workbench.models",
    "workbench.pipeline.store",
    "workbench.experiments.catalogue",
    "workbench.notebook",
)
SAID = f"""
import importlib, json, sys
for module in {LIGHT!r}:
    importlib.import_module(module)
    print(json.dumps([module, [name for name in {HEAVY!r} if name in sys.modules]]))
"""


def test_importing_them_loads_no_model_library() -> None:
    """One after the other in one process: what all of them leave out, each leaves out."""
    done = subprocess.run([sys.executable, "-c", SAID], capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[m, []] for m in LIGHT]
