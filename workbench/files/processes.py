"""Say which of a launch's processes this is, and keep all but the first from writing.

``torchrun`` and ``accelerate launch`` start one program several times and tell each its number and
their count by environment variables. All make the same forward passes; the first alone writes
results and prints. The others work on temporary copies of the folders that a command writes into,
which they take while all wait, so that every process finds the same finished work, and which are
removed when they end. What needs no model the first does alone, and the others take what it wrote.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files.ownership import is_own

RANK, COUNT, LOCAL = "RANK", "WORLD_SIZE", "LOCAL_RANK"
_PREFIX = "workbench-process-"
_LONGEST = timedelta(days=7)
_firsts: dict[Path, Path] = {}
"""By temporary folder, the first process's."""


def launched_processes() -> int:
    """Return how many processes the launcher started; 1 without one."""
    return int(os.environ.get(COUNT, 1)) if RANK in os.environ and LOCAL in os.environ else 1


def process_number() -> int:
    """Return the number of this process, from 0 on; 0 without a launcher."""
    return int(os.environ[RANK]) if launched_processes() > 1 else 0


def is_first_process() -> bool:
    """Return whether this process writes and prints."""
    return process_number() == 0


def require_one_process(what: str, mend: str) -> None:
    """Refuse ``what`` under a launcher that started several processes.

    Raises:
        WorkbenchError: with the mend.
    """
    if launched_processes() > 1:
        raise WorkbenchError(
            f"{what} runs in one process, and {launched_processes()} were started: {mend}"
        )


def own_folder(folder: Path, copied: bool = True) -> Path:
    """Return the folder in which this process works in place of ``folder``: itself in the first
    process, a temporary one in the others, with a copy of what is there unless ``copied`` is off.
    All processes of a launch must ask at the same point, before any writes there.

    Raises:
        FolderInUseError: where a process of another launch, or one that survived a killed launcher,
            still works there.
    """
    if launched_processes() == 1:
        return folder
    copied = copied and is_own(folder)
    if is_first_process():
        from workbench.files.locks import hold_folder

        with hold_folder(folder) if copied else nullcontext():
            wait_for_all()  # nobody writes there from here on,
            wait_for_all()  # and the others have their copy
        return folder
    found = _temporary() / str(abs(hash(str(folder)))) / folder.name
    _firsts[found] = folder
    wait_for_all()
    if copied and not found.exists():
        _copy(folder, found)
    wait_for_all()
    return found


def take_from_first(folder: Path) -> None:
    """Wait until the first process has done its work in ``folder``, which is in one that
    :func:`own_folder` gave, and take its files in every other. All processes must ask at the same
    point.
    """
    if launched_processes() == 1:
        return
    wait_for_all()
    for own, first in _firsts.items():
        if folder.is_relative_to(own):
            shutil.rmtree(folder, ignore_errors=True)
            _copy(first / folder.relative_to(own), folder)
    wait_for_all()


def gather(value: Any) -> list[Any]:
    """Return what every process of the launch gives, in their order. All must ask at the same
    point.
    """
    if launched_processes() == 1:
        return [value]
    import torch.distributed as dist

    group = _group()
    found: list[Any] = [None] * launched_processes()
    dist.all_gather_object(found, value, group=group)
    return found


def wait_for_all() -> None:
    """Wait until every process of the launch is here, as long as that takes."""
    if launched_processes() > 1:
        import torch.distributed as dist

        dist.barrier(_group())


@lru_cache(maxsize=1)
def _group() -> Any:
    """Return a group of all processes through which accelerators wait for nothing."""
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ[LOCAL]))
        dist.init_process_group()
    return dist.new_group(backend="gloo", timeout=_LONGEST)


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
    """Make this process's temporary folder, and remove those that killed processes left."""
    from workbench.files.locks import LOCK, hold_folder

    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{LOCK}"):
        with suppress(OSError, WorkbenchError), hold_folder(left.parent):
            shutil.rmtree(left.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    held = hold_folder(folder)
    held.__enter__()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(held.__exit__, None, None, None)
    return folder


def _copy(folder: Path, target: Path) -> None:
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(".lock*"), dirs_exist_ok=True)
