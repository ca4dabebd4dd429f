"""Keep a folder to one process at a time.

The lock is the operating system's (flock, through filelock), so it ends with the process that holds
it, however that ends. It holds between the processes of one machine on every local file system, and
between machines where the shared file system passes locks on (NFS 4, Lustre mounted with flock,
CIFS). Where it does not (NFS mounted with local_lock, many FUSE systems), the holder's heartbeat
takes its place: a file next to the lock, renewed every :data:`RENEWED` seconds, whose age is
measured by the file system's clock. A machine that stops renewing it for :data:`EXPIRED` seconds,
because it is dead or cut off from the file system, loses the folder; so does one that is suspended
for that long, which is the case not covered.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from workbench.errors import WorkbenchError
from workbench.files.writing import cannot_write, write_json

LOCK, HOLDER = ".lock", ".lock-holder.json"
RENEWED, EXPIRED = 15.0, 90.0

_held: dict[Path, int] = {}
_guard = threading.RLock()


class FolderInUseError(WorkbenchError):
    """The error of a folder that another process holds."""


@dataclass(frozen=True)
class Holder:
    """A process that works in a folder.

    Attributes:
        host: the machine's name and, where the system tells it, the identity of its boot.
        since: when it took the folder, local time.
    """

    host: str
    pid: int
    since: str

    def said(self) -> str:
        """Return process, machine and time for a message."""
        return f"process {self.pid} on {self.host.partition(' ')[0]}, since {self.since}"


@contextmanager
def hold_folder(
    folder: Path, mend: str = "wait until it ends, or choose another name"
) -> Iterator[None]:
    """Keep every other process out of ``folder``, which exists, inside the block. Blocks may be
    nested.

    Raises:
        FolderInUseError: naming the process and machine that hold it.
        WorkbenchError: where the lock cannot be written.
    """
    place = folder.resolve()
    with _guard:
        nested = place in _held
        if not nested:
            lock = _acquired(place, mend)
        _held[place] = _held.get(place, 0) + 1
    stop = threading.Event()
    if not nested:
        threading.Thread(
            target=_renew, args=(place / HOLDER, stop), daemon=True, name=f"lock of {place}"
        ).start()
    try:
        yield
    finally:
        stop.set()
        with _guard:
            _held[place] -= 1
            if not _held[place]:
                del _held[place]
        if not nested:
            with suppress(OSError):
                (place / HOLDER).unlink(missing_ok=True)
            lock.release()


def require_free(folder: Path) -> None:
    """Refuse a ``folder`` that another process holds at this moment, for callers that only read in
    it.

    Raises:
        FolderInUseError: if one does.
    """
    if (folder / LOCK).exists() and os.access(folder, os.W_OK):
        with hold_folder(folder, "wait until it ends"):
            pass


def find_holder(folder: Path) -> Holder | None:
    """Return the process that holds ``folder`` by its heartbeat, without touching the lock; None
    where nobody does.

    A process of this machine that has ended holds nothing, nor does one anywhere whose heartbeat is
    older than :data:`EXPIRED`. Only the lock itself decides who may work.
    """
    holder = _holder(folder)
    if holder is None or not (folder / LOCK).exists() or _age(folder) >= EXPIRED:
        return None
    return holder if holder.host != _this_process().host or _runs(holder.pid) else None


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _acquired(place: Path, mend: str) -> FileLock:
    lock = FileLock(place / LOCK, timeout=0)
    try:
        with warnings.catch_warnings():
            # The change to a lock by existence, where the file system has no other, is what is
            # wanted.
            warnings.simplefilter("ignore")
            lock.acquire()
    except Timeout as error:
        raise _taken(place, _holder(place), mend) from error
    except OSError as error:
        raise cannot_write(place / LOCK, error) from error
    holder, own = _holder(place), _this_process()
    if holder is not None and holder.host != own.host and _age(place) < EXPIRED:
        lock.release()
        raise _taken(place, holder, mend)
    write_json(place / HOLDER, asdict(own), sync=False)
    return lock


def _taken(place: Path, holder: Holder | None, mend: str) -> FolderInUseError:
    who = "another process" if holder is None else holder.said()
    return FolderInUseError(f"{place} is being worked on by {who}; {mend}.")


def _holder(place: Path) -> Holder | None:
    """Return the process that wrote the heartbeat; None where there is none, or it cannot
    be read.
    """
    try:
        found = json.loads((place / HOLDER).read_text())
        return Holder(str(found["host"]), int(found["pid"]), str(found["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _age(place: Path) -> float:
    """Return the seconds since the heartbeat was renewed, by the file system's clock."""
    try:
        os.utime(place / LOCK)
        return (place / LOCK).stat().st_mtime - (place / HOLDER).stat().st_mtime
    except FileNotFoundError:
        return EXPIRED


def _this_process() -> Holder:
    boot = Path("/proc/sys/kernel/random/boot_id")
    identity = boot.read_text().strip() if boot.exists() else sys.platform
    return Holder(
        f"{socket.gethostname()} {identity}", os.getpid(), time.strftime("%Y-%m-%d %H:%M:%S")
    )


def _renew(path: Path, stop: threading.Event) -> None:
    while not stop.wait(RENEWED):
        with suppress(OSError):
            os.utime(path)
