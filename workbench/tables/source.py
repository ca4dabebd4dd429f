"""Read the bytes of a file, and the text in them: regular files only, of bounded size, never
waiting for a writer.

A pipe, a device or a folder is refused before anything is read: reading one can wait or continue
for ever. Text is UTF-8, or UTF-16 or UTF-32 with its byte order mark. A line has a bound, checked
while reading, so that a file without line ends is refused after a few megabytes.
"""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

from workbench.errors import WorkbenchError

MOST_BYTES = 4 * 2**30
MOST_LINE = 16 * 2**20
MOST_CELL = 2**20
MOST_ROWS = 100_000_000
_BLOCK = 8 * 2**20
# The mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8", ""),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_regular(path: Path) -> int:
    """Return the size of ``path`` in bytes.

    Raises:
        WorkbenchError: unless it is a regular file within the bound.
    """
    descriptor = _opened(path)
    try:
        return _size(descriptor, path)
    finally:
        os.close(descriptor)


def read_regular(path: Path, *, most: int = MOST_BYTES, most_line: int | None = None) -> bytes:
    """Read all bytes of the regular file ``path``; with ``most_line``, no line may be longer than
    that many bytes.

    Raises:
        WorkbenchError: for a file that cannot be read or exceeds the bounds.
    """
    descriptor = _opened(path)
    try:
        size = _size(descriptor, path, most)
        with os.fdopen(os.dup(descriptor), "rb", buffering=0) as file:
            return _read(file, path, size, most, most_line)
    except OSError as error:
        raise WorkbenchError(
            f"{path}: cannot be read ({error.strerror}); check the file and its permissions."
        ) from error
    finally:
        os.close(descriptor)


def read_text(
    path: Path, *, most: int = MOST_BYTES, most_line: int | None = MOST_LINE
) -> tuple[bytes, str]:
    """Read the text of ``path`` as UTF-8 without a mark, not yet decoded, and the name of another
    encoding it came in ("" if UTF-8).

    Raises:
        WorkbenchError: for NUL bytes, and for content that does not match its byte order mark.
    """
    data = read_regular(path, most=most, most_line=most_line)
    name = ""
    for mark, encoding, shown in _MARKS:
        if data.startswith(mark):
            data, name = data[len(mark) :], shown
            if encoding != "utf-8":
                try:
                    data = data.decode(encoding).encode()
                except UnicodeError as error:
                    raise WorkbenchError(
                        f"{path}: begins as {shown} and is not; save the file as UTF-8."
                    ) from error
            break
    if b"\0" in data:
        raise WorkbenchError(
            f"{path}: holds NUL bytes, so it is no text (or UTF-16 without its byte order mark); "
            "save the file as UTF-8."
        )
    return data, name


def undecodable(path: Path, data: bytes) -> WorkbenchError:
    """Return the error that names the first line of ``data`` that is not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return WorkbenchError(
            f"{path}, line {before.count(10) + 1}: not UTF-8 text; save the file as UTF-8."
        )
    return WorkbenchError(f"{path}: not UTF-8 text; save the file as UTF-8.")


def _opened(path: Path) -> int:
    try:
        # Without the flag, opening a pipe waits until somebody writes into it.
        return os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise WorkbenchError(f"{path}: there is no such file; check the path.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WorkbenchError(
            f"{str(path)!r}: cannot be opened ({reason}); give the path of a readable file."
        ) from error


def _size(descriptor: int, path: Path, most: int = MOST_BYTES) -> int:
    found = os.fstat(descriptor)
    for is_kind, kind in _KINDS:
        if is_kind(found.st_mode):
            raise WorkbenchError(
                f"{path}: is {kind}, not a file; save the table to a file and give its path."
            )
    if found.st_size > most:
        raise WorkbenchError(
            f"{path}: holds {found.st_size / 2**20:,.0f} MiB, more than the {most / 2**20:,.0f} "
            "MiB that are read; "
            "split the file or leave columns out."
        )
    return found.st_size


def _read(file: object, path: Path, size: int, most: int, most_line: int | None) -> bytes:
    parts: list[bytes] = []
    read = open_line = 0
    # System files claim to be empty and may never end: no more is read than their size says.
    while read < size and (part := file.read(min(_BLOCK, size - read))):  # type: ignore[attr-defined]
        parts.append(part)
        read += len(part)
        if most_line is not None:
            last = max(part.rfind(b"\n"), part.rfind(b"\r"))
            open_line = open_line + len(part) if last < 0 else len(part) - last - 1
            if open_line > most_line:
                raise WorkbenchError(
                    f"{path}: a line is longer than {most_line // 2**20} MiB; write one row a line "
                    "and leave long texts out."
                )
    return b"".join(parts)
