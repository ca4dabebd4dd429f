"""Write what layers return to a file for each task, and read it back.

A file is a row of records. Each is a safetensors blob behind its length, the number of the task's
call, what the call got (as a digest) and a checksum of the blob. A record is appended in one
write; of a process that was killed in the middle of one the rest is not read, and the next record
takes its place.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from safetensors.torch import load, save
from torch import Tensor

DIGEST = 16
HEAD = Struct(f"<QQ{DIGEST}s{DIGEST}s")
"""Length of the blob, number of the call, digest of its input, checksum of the blob."""


@dataclass(frozen=True)
class Record:
    """A record's place in its file, and what it says of its call."""

    start: int
    length: int
    given: bytes
    checksum: bytes


class CallRecords:
    """The records of one task's calls in the file ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records: dict[int, Record] = {}
        self.end = 0
        if path.exists():
            self._scan()

    def __contains__(self, call: int) -> bool:
        return call in self._records

    def offers(self, call: int, given: bytes) -> bool:
        """Return whether the result of a call is there that got what has the digest ``given``."""
        record = self._records.get(call)
        return record is not None and record.given == given

    def read(self, call: int) -> dict[str, Tensor] | None:
        """Return the tensors of a call; None where the file is damaged there."""
        record = self._records[call]
        with self.path.open("rb") as file:
            file.seek(record.start)
            blob = file.read(record.length)
        if _digest(blob) != record.checksum:
            return None
        # Out of the blob, where they begin anywhere: kernels sum in another order then.
        return {name: tensor.clone() for name, tensor in load(blob).items()}

    def cut(self, call: int) -> None:
        """Drop the records of a call and all later ones."""
        later = {number for number in self._records if number >= call}
        if later:
            self.end = min(self._records[number].start for number in later) - HEAD.size
            for number in later:
                del self._records[number]
            with self.path.open("rb+") as file:
                file.truncate(self.end)

    def append(self, call: int, given: bytes, tensors: Mapping[str, Tensor]) -> int:
        """Write the tensors of a call; return the bytes written."""
        blob = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        checksum = _digest(blob)
        with self.path.open("rb+" if self.path.exists() else "wb") as file:
            file.seek(self.end)
            file.write(HEAD.pack(len(blob), call, given, checksum))
            file.write(blob)
            file.truncate()
        self._records[call] = Record(self.end + HEAD.size, len(blob), given, checksum)
        self.end += HEAD.size + len(blob)
        return HEAD.size + len(blob)

    def _scan(self) -> None:
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            while self.end + HEAD.size <= size:
                length, call, given, checksum = HEAD.unpack(file.read(HEAD.size))
                start = self.end + HEAD.size
                if start + length > size:
                    break
                self._records[call] = Record(start, length, given, checksum)
                self.end = start + length
                file.seek(length, os.SEEK_CUR)


def _digest(blob: bytes) -> bytes:
    return hashlib.blake2b(blob, digest_size=DIGEST).digest()
