"""Python started again by a launcher, as several processes that talk to each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from workbench.files.locks import HOLDER
from workbench.teach.launch import launch_file

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
FSDP = (
    "-m",
    "accelerate.commands.launch",
    "--config_file",
    str(launch_file("fsdp")),
    "--num_processes",
    "2",
    "--main_process_port",
    "0",
)
ROOT = Path(__file__).parents[2]


def start(launcher: Sequence[str], words: Sequence[object], said: Path) -> subprocess.Popen[str]:
    """Start Python through a launcher, with one thread a process; what it says goes to a file."""
    with said.open("w") as file:
        return subprocess.Popen(
            [sys.executable, *launcher, *map(str, words)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )


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


def kill_first_process(started: subprocess.Popen[str], run: Path, wanted: str) -> None:
    """Kill the process that writes into ``run`` as soon as a file of the pattern ``wanted`` is
    there; its launcher then ends the others.
    """
    while not any(run.glob(wanted)):
        assert started.poll() is None, f"ended before there was {wanted}"
        time.sleep(0.02)
    os.kill(json.loads((run / HOLDER).read_text())["pid"], signal.SIGKILL)
    assert started.wait(120) != 0
