"""Measure the memory that this process holds, and the most it has held."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from pathlib import Path

import psutil

from workbench.compat import trim_heap

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


def held_memory() -> int:
    """Return the resident size of this process now, in bytes."""
    return int(psutil.Process(os.getpid()).memory_info().rss)


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes.

    Linux says it in ``/proc``. The usage that it counts would be that of the process which started
    this one, where that was larger; elsewhere it is what there is.
    """
    if STATUS.exists():
        lines = STATUS.read_text(encoding="utf-8").splitlines()
        found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        if found:
            return int(found[0]) * 1024
    peak = getattr(psutil.Process(os.getpid()).memory_info(), "peak_wset", None)
    if peak is not None:
        return int(peak)
    import resource

    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def reset_peak_memory() -> bool:
    """Let :func:`peak_memory` count from now on; return whether the system can (Linux does)."""
    with suppress(OSError):
        RESET.write_text("5")
        return True
    return False


def release_memory() -> None:
    """Give the system back what is free: glibc keeps what was freed below something in use, a
    quarter of a gigabyte after a stage of a small model.
    """
    gc.collect()
    trim_heap()
