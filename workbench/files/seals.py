"""Keep sizes and SHA-256 of files when they are written, and compare them when they are read.

A file that was compared once in this process is not compared again while its size, its time and its
place on the disk stay the same. Where only the presence of results is asked for, a file above
:data:`BIG` bytes whose time is that of its seal passes by its size; it is compared in full as soon
as it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files.hashing import sha256_of
from workbench.files.writing import sync_to_disk

BIG = 512 << 20

_known: dict[Path, tuple[tuple[int, int, int], str]] = {}


@dataclass(frozen=True)
class Seal:
    """The seal of a file: its state when it was written.

    Attributes:
        size: in bytes.
        sha256: in hexadecimal digits.
        time: time of its last change, in nanoseconds.
    """

    size: int
    sha256: str
    time: int

    @classmethod
    def of(cls, path: Path) -> Seal:
        """Return the seal of a file as it is now, and sync the file to the disk."""
        sync_to_disk(path)
        return cls(path.stat().st_size, _hash(path), path.stat().st_mtime_ns)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Seal:
        """Read a seal from its JSON.

        Raises:
            KeyError, TypeError, ValueError: for other content.
        """
        return cls(int(content["size"]), str(content["sha256"]), int(content["time"]))

    def fault(self, path: Path, presence: bool = False) -> str | None:
        """Return what is wrong with the file at ``path``; None where it is the one that was sealed.

        Args:
            presence: a big file may pass by its size and time.
        """
        if path.is_symlink():
            return "is a link now"
        if not path.is_file():
            return "is missing"
        found = path.stat()
        if found.st_size != self.size:
            return f"has {found.st_size} bytes instead of {self.size}"
        if presence and found.st_size > BIG and found.st_mtime_ns == self.time:
            return None
        try:
            return (
                None if _hash(path) == self.sha256 else "holds something else than what was written"
            )
        except OSError as error:
            return f"cannot be read ({error})"


def seal_files(folder: Path, files: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Seal files; return the seals by path relative to ``folder``, as JSON values."""
    return {path.relative_to(folder).as_posix(): asdict(Seal.of(path)) for path in sorted(files)}


def find_fault(
    folder: Path, seals: Mapping[str, Mapping[str, Any]], presence: bool = False
) -> str | None:
    """Return the first file of ``seals`` that is not what was sealed, with what is wrong; None
    where all are.
    """
    for name, content in seals.items():
        fault = Seal.read(content).fault(folder / name, presence)
        if fault is not None:
            return f"{folder / name} {fault}"
    return None


def damaged(what: str, mend: str) -> WorkbenchError:
    """Return the error for a result that has changed since it was written."""
    return WorkbenchError(f"{what}: it was damaged or changed since; {mend}.")


def _hash(path: Path) -> str:
    place, found = path.resolve(), path.stat()
    state = found.st_size, found.st_mtime_ns, found.st_ino
    if place in _known and _known[place][0] == state:
        return _known[place][1]
    digest = sha256_of(path)
    _known[place] = state, digest
    return digest
