"""State what kinds of devices compute, by their published peaks and the share of them that such
work reaches.

Peaks are those of the makers' data sheets for dense products in bfloat16 (float16 where a kind has
no bfloat16), in operations a second, and of memory in bytes a second. ``reached`` is the share of
the peak that products of a few hundred rows and more reach, ``reading`` that of memory when a few
rows read all weights. Both shares are stated, not measured: measure on the machine at hand
(``--measure``) where it matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TERA, GIGA = 1e12, 1e9


@dataclass(frozen=True)
class DeviceKind:
    """A kind of device.

    Attributes:
        name: as plans show it.
        memory: bytes.
        peak: operations a second in 16 bits.
        float32: operations a second in float32.
        bandwidth: bytes of its memory a second.
        link: bytes a second to other devices of the same machine.
        host: bytes a second from the machine's main memory.
        launch: seconds that a layer's kernels take to be started.
        reached, reading: shares of peak and bandwidth that are reached.
    """

    name: str
    memory: float
    peak: float
    float32: float
    bandwidth: float
    link: float
    host: float = 25 * GIGA
    launch: float = 2e-4
    reached: float = 0.45
    reading: float = 0.7


# NVIDIA's data sheets: T4, L4, A100 80GB SXM, H100 SXM, H200 SXM; RTX 3090 and RTX 4090 from the
# GA102 and Ada architecture white papers; A6000. Dense rates, without sparsity.
DEVICE_KINDS: Mapping[str, DeviceKind] = {
    row.name: row
    for row in (
        DeviceKind("T4", 16 * GIGA, 65 * TERA, 8.1 * TERA, 300 * GIGA, 12 * GIGA, 12 * GIGA),
        DeviceKind("L4", 24 * GIGA, 121 * TERA, 30 * TERA, 300 * GIGA, 25 * GIGA),
        DeviceKind("RTX3090", 24 * GIGA, 71 * TERA, 36 * TERA, 936 * GIGA, 25 * GIGA),
        DeviceKind("RTX4090", 24 * GIGA, 165 * TERA, 83 * TERA, 1008 * GIGA, 25 * GIGA),
        DeviceKind("A6000", 48 * GIGA, 155 * TERA, 39 * TERA, 768 * GIGA, 56 * GIGA),
        DeviceKind("A100", 80 * GIGA, 312 * TERA, 19.5 * TERA, 2039 * GIGA, 300 * GIGA),
        DeviceKind("H100", 80 * GIGA, 989 * TERA, 67 * TERA, 3350 * GIGA, 450 * GIGA),
        DeviceKind("H200", 141 * GIGA, 989 * TERA, 67 * TERA, 4800 * GIGA, 450 * GIGA),
    )
}
CORE_PEAK, CORE_FLOAT32 = 140e9, 70e9
"""Operations a second of one core with 512-bit registers at 2.6 GHz: 2 units of 16 float32 fused
multiply-adds give 166e9 at most, half of it with one unit; bfloat16 twice as many.
"""
CORE_BANDWIDTH = 12 * GIGA
"""Bytes of main memory a second and core; what a laptop's two channels give to four."""
DEFAULT_DISK = 2 * GIGA
"""Bytes a second of a common NVMe disk, where none is stated."""


def kind_for(memory: float) -> DeviceKind:
    """Return the kind that a bare size of memory means: RTX4090 for 24 GB, A100 for 80 GB, and for
    other sizes the slowest kind that is as large.
    """
    for name in ("RTX4090", "A100"):
        if DEVICE_KINDS[name].memory == memory:
            return DEVICE_KINDS[name]
    large = [kind for kind in DEVICE_KINDS.values() if kind.memory >= memory]
    rows = large or list(DEVICE_KINDS.values())
    return min(rows, key=lambda kind: (kind.memory, kind.peak)) if large else rows[-1]
