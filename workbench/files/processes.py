"""Say which of a launch's processes this is, and keep all but the first from writing.

``torchrun`` and ``accelerate launch`` start one program several times and tell each its number and
their count by environment variables. All compute the same; the first alone writes results and
prints. The others work on temporary copies of the folders that a command writes into, which they
take while all wait, so that every process finds the same finished work, and which are removed when
they end.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import lru_cache
from pathlib import Path

RANK, COUNT, LOCAL = "RANK", "WORLD_SIZE", "LOCAL_RANK"


def launched_processes() -> int:
    """Return how many processes the launcher started; 1 without one."""
    return int(os.environ.get(COUNT, 1)) if RANK in os.environ and LOCAL in os.environ else 1


def process_number() -> int:
    """Return the number of this process, from 0 on; 0 without a launcher."""
    return int(os.environ[RANK]) if launched_processes() > 1 else 0


def is_first_process() -> bool:
    """Return whether this process writes and prints."""
    return process_number() == 0


def own_folder(folder: Path, copied: bool = True) -> Path:
    """Return the folder in which this process works in place of ``folder``: itself in the first
    process, a temporary one in the others, with a copy of what is there unless ``copied`` is off.
    All processes of a launch must ask at the same point, before any writes there.
    """
    if launched_processes() == 1:
        return folder
    found = folder
    if not is_first_process():
        found = _temporary() / str(abs(hash(str(folder)))) / folder.name
        if copied and folder.is_dir() and not found.exists():
            shutil.copytree(folder, found, ignore=shutil.ignore_patterns(".lock*"))
    wait_for_all()
    return found


def wait_for_all() -> None:
    """Wait until every process of the launch is here."""
    if launched_processes() == 1:
        return
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ[LOCAL]))
        dist.init_process_group()
    dist.barrier()


@contextmanager
def only_first_prints() -> Iterator[None]:
    """Drop what any but the first process prints inside the block. An error is said by each,
    because it may be that one's alone.
    """
    if is_first_process():
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


@lru_cache(maxsize=1)
def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="workbench-process-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
