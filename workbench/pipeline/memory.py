"""Measure the memory that this process holds, and the most it has held."""

from __future__ import annotations

import os

import psutil


def held_memory() -> int:
    """Return the resident size of this process now, in bytes."""
    return int(psutil.Process(os.getpid()).memory_info().rss)


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    info = psutil.Process(os.getpid()).memory_info()
    peak = getattr(info, "peak_wset", None)
    if peak is not None:
        return int(peak)
    import resource

    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit
