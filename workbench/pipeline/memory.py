"""Measure the largest amount of memory that this process has held."""

from __future__ import annotations

import os

import psutil


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    info = psutil.Process(os.getpid()).memory_info()
    peak = getattr(info, "peak_wset", None)
    if peak is not None:
        return int(peak)
    import resource

    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit
