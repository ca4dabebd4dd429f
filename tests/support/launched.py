"""Python started again by a launcher, as several processes that talk to each other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ROOT = Path(__file__).parents[2]


def launch(launcher: Sequence[str], script: Path, *arguments: object) -> None:
    """Start ``script`` through a launcher, with one thread a process; it must end well."""
    done = subprocess.run(
        [sys.executable, *launcher, str(script), *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
