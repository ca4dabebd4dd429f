"""Read what machine a plan is for: ``1x24GB,disk=5GB/s``, ``8xH100``, ``cpu=24GB,cores=2``.

Parts are separated by commas, in any order. ``NxM`` are N accelerators, M a size of memory or a
kind of the table (:mod:`workbench.plan.device_kinds`); ``cpu`` the main memory; ``cores`` the
processor's; ``disk`` the rate at which weights are read from the disk. A rate of the accelerator
may be stated too: ``flops`` in operations a second, ``bandwidth`` of its memory. Sizes are in
powers of ten, as disks and accelerators are sold, or in powers of two with an i (24GiB).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from workbench.errors import WorkbenchError
from workbench.plan.device_kinds import (
    CORE_BANDWIDTH,
    CORE_FLOAT32,
    CORE_PEAK,
    DEFAULT_DISK,
    DEVICE_KINDS,
    DeviceKind,
    kind_for,
)

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"([\d.]+)\s*([kmgtp]?)(i?)b(/s)?", re.IGNORECASE)
_RATE = re.compile(r"([\d.]+)\s*([kmgtp]?)(?:flops?|flop/s)?", re.IGNORECASE)
_COUNTED = re.compile(r"(\d+)\s*[x*×]\s*(.+)", re.IGNORECASE)
Value = TypeVar("Value")
HELP = "such as '1x24GB,disk=5GB/s', '8xH100' or 'cpu=24GB,cores=2'"
SYSTEM_SHARE = 0.92
"""The share of a device's memory that a plan may fill; the rest is the driver's and fragments'."""


@dataclass(frozen=True)
class Device:
    """A device that computes, with the rates it is assumed to reach.

    Attributes:
        name: its kind.
        on_cpu: whether it is the processor.
        memory: bytes.
        flops: operations a second in bfloat16.
        float32: operations a second in float32.
        bandwidth: bytes of its memory a second.
        link: bytes a second to other devices, and ``host`` from main memory.
        launch: seconds that starting a layer's kernels takes.
    """

    name: str
    on_cpu: bool
    memory: float
    flops: float
    float32: float
    bandwidth: float
    link: float
    host: float
    launch: float

    @property
    def room(self) -> float:
        """Bytes that a plan may fill."""
        return self.memory * SYSTEM_SHARE


@dataclass(frozen=True)
class Machine:
    """Devices of one kind, main memory, and a disk.

    Attributes:
        stated: as it was written.
        device: each of the ``count`` devices that compute.
        main: bytes of main memory; unknown where it was not stated.
        disk: bytes a second.
    """

    stated: str
    device: Device
    count: int
    main: float | None
    disk: float


def parse_machine(text: str) -> Machine:
    """Read a machine.

    Raises:
        WorkbenchError: naming the part that cannot be read.
    """
    given: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = part.partition("=")
        name = key.strip().lower() if equals else "devices"
        if name not in ("devices", "cpu", "cores", "disk", "flops", "bandwidth"):
            raise WorkbenchError(
                f"--devices has no part {name!r}; its parts are NxSIZE, cpu, cores, disk, flops, "
                f"bandwidth, {HELP}"
            )
        if name in given:
            raise WorkbenchError(f"--devices says {name!r} twice: {text!r}; say it once, {HELP}")
        given[name] = value.strip() if equals else part
    if "devices" not in given and "cpu" not in given:
        raise WorkbenchError(
            f"--devices {text!r} names no device: give accelerators or a processor, {HELP}"
        )
    main = _parsed(given, "cpu", _size)
    cores = _parsed(given, "cores", _count)
    if "devices" in given:
        count, kind = _accelerators(given["devices"])
        device = _of_kind(kind)
    else:
        assert main is not None
        count, device = 1, processor(main, cores or 4)
    device = replace(
        device,
        flops=_parsed(given, "flops", _operations) or device.flops,
        bandwidth=_parsed(given, "bandwidth", _size) or device.bandwidth,
    )
    return Machine(text, device, count, main, _parsed(given, "disk", _size) or DEFAULT_DISK)


def processor(memory: float, cores: int) -> Device:
    """Return a processor of so many cores as a device."""
    return Device(
        f"processor, {cores} cores",
        True,
        memory,
        cores * CORE_PEAK,
        cores * CORE_FLOAT32,
        cores * CORE_BANDWIDTH,
        CORE_BANDWIDTH,
        cores * CORE_BANDWIDTH,
        1e-4,
    )


def _of_kind(kind: DeviceKind) -> Device:
    return Device(
        kind.name,
        False,
        kind.memory,
        kind.peak * kind.reached,
        kind.float32 * kind.reached,
        kind.bandwidth * kind.reading,
        kind.link,
        kind.host,
        kind.launch,
    )


def _accelerators(text: str) -> tuple[int, DeviceKind]:
    found = _COUNTED.fullmatch(text)
    if found is None:
        raise WorkbenchError(
            f"--devices cannot read {text!r}: write a count, x, and a size, {HELP}"
        )
    count, what = int(found.group(1)), found.group(2).strip()
    if count < 1:
        raise WorkbenchError(f"--devices says {text!r}, but at least one device must compute")
    named = {name.lower(): kind for name, kind in DEVICE_KINDS.items()}
    if what.lower() in named:
        return count, named[what.lower()]
    if not _SIZE.fullmatch(what):
        raise WorkbenchError(
            f"--devices knows no kind {what!r}; it knows {', '.join(DEVICE_KINDS)}, or give the "
            f"size of its memory, {HELP}"
        )
    memory = _size("devices", what)
    return count, replace(kind_for(memory), memory=memory)


def _parsed(given: Mapping[str, str], name: str, read: Callable[[str, str], Value]) -> Value | None:
    return read(name, given[name]) if name in given else None


def _size(name: str, text: str) -> float:
    found = _SIZE.fullmatch(text.strip())
    value = _number(found.group(1)) if found else None
    if found is None or not value:
        raise WorkbenchError(
            f"--devices cannot read {name}={text!r}: write a positive number and GB, GiB or GB/s, "
            f"{HELP}"
        )
    return value * (1024 if found.group(3) else 1000) ** _UNITS[found.group(2).lower()]


def _operations(name: str, text: str) -> float:
    found = _RATE.fullmatch(text.strip())
    value = _number(found.group(1)) if found else None
    if found is None or not value:
        raise WorkbenchError(
            f"--devices cannot read {name}={text!r}: write operations a second, such as 150T"
        )
    return value * 1000 ** _UNITS[found.group(2).lower()]


def _count(name: str, text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise WorkbenchError(f"--devices cannot read {name}={text!r}: write a whole number from 1")
    return int(text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
