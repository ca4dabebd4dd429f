"""Read and append to the manifest of recorded states: which question is in which shard, and the
checksum of each of its pieces.

``manifest.jsonl`` holds a line of JSON with the layout, and a line for every finished shard: its
file, its size, the questions in the order of its rows, and a checksum for each layer and position.
A shard is renamed into place before its line is appended and synced, so whatever the manifest names
is whole. A kill in between leaves a file without a line, or a line without its end; neither counts,
and both are written over. Where a shard has two lines, the later one holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.arrays import Rows
from workbench.errors import WorkbenchError
from workbench.files.seals import damaged
from workbench.files.writing import cannot_write, write_atomically
from workbench.states.layout import Layout
from workbench.states.names import MANIFEST
from workbench.states.shard import Checksums, checksums_fit

FORMAT = "workbench recorded states 1"


@dataclass(frozen=True, eq=False)
class Shard:
    """A finished shard.

    Attributes:
        file: its name in the folder of the manifest.
        size: the bytes of the file.
        rows: the questions' numbers, in the order of its rows.
        checksums: the CRC-32 of each piece, [layers][positions].
    """

    file: str
    size: int
    rows: Rows
    checksums: Checksums

    def to_json(self) -> dict[str, Any]:
        """Return the shard as a line of the manifest has it."""
        return {
            "file": self.file,
            "size": self.size,
            "rows": self.rows.tolist(),
            "crc32": [list(layer) for layer in self.checksums],
        }

    @classmethod
    def read(cls, content: Mapping[str, Any], layout: Layout) -> Shard:
        """Read a shard from a line of the manifest.

        Raises:
            KeyError, TypeError, ValueError: for other content.
        """
        checksums = tuple(tuple(int(one) for one in layer) for layer in content["crc32"])
        name = str(content["file"])
        if Path(name).name != name or not checksums_fit(checksums, layout):
            raise ValueError(f"no shard of this folder: {name!r}")
        return cls(
            name, int(content["size"]), np.asarray(content["rows"], dtype=np.int64), checksums
        )


def start_manifest(folder: Path, layout: Layout) -> None:
    """Write a manifest without shards into ``folder``, made if missing."""
    head = json.dumps({"format": FORMAT, **layout.to_json()})
    write_atomically(folder / MANIFEST, lambda path: path.write_text(head + "\n"))


def append_shard(folder: Path, shard: Shard) -> None:
    """Append the line of a finished shard and sync it to the disk.

    Raises:
        WorkbenchError: where the manifest cannot be written.
    """
    path = folder / MANIFEST
    line = json.dumps(shard.to_json(), separators=(",", ":")) + "\n"
    try:
        with path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(path, error) from error


def drop_cut_line(folder: Path) -> None:
    """Remove a last line that a kill cut short, so that the next one begins a line of its own."""
    path = folder / MANIFEST
    whole = _whole_lines(path.read_bytes())
    if whole < path.stat().st_size:
        os.truncate(path, whole)


def read_manifest(folder: Path, mend: str) -> tuple[Layout, dict[str, Shard]]:
    """Return the layout and the finished shards by file.

    Raises:
        WorkbenchError: with the ``mend``, where there is no manifest or it is none of this format.
    """
    path = folder / MANIFEST
    try:
        lines = _lines(path.read_bytes())
        head = json.loads(next(lines))
        if head["format"] != FORMAT:
            raise ValueError(f"its format is {head['format']!r}")
        layout = Layout.read(head)
        found = [Shard.read(json.loads(line), layout) for line in lines]
    except FileNotFoundError as error:
        raise WorkbenchError(f"{path} is missing; {mend}.") from error
    except (OSError, ValueError, TypeError, KeyError, StopIteration) as error:
        raise damaged(f"{path} cannot be read ({error!r})", mend) from error
    return layout, {shard.file: shard for shard in found}


def _lines(content: bytes) -> Iterator[bytes]:
    return iter(content[: _whole_lines(content)].splitlines())


def _whole_lines(content: bytes) -> int:
    """Return the length of all lines that have their end."""
    return content.rfind(b"\n") + 1
