"""What is no regular file, or too big, is refused before it is read."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.measure import read_answers
from workbench.questions.graded_answers import read_graded
from workbench.questions.sources import questions_from, source_content
from workbench.tables import read_regular

READERS = {
    "measure": read_answers,
    "questions": lambda path: questions_from(str(path)),
    "content": lambda path: source_content(str(path)),
    "graded": read_graded,
}


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> object:
    return READERS[request.param]


def refused(reader: object, path: Path | str, message: str) -> None:
    begun = time.monotonic()
    with pytest.raises(WorkbenchError, match=message):
        reader(Path(path))  # type: ignore[operator]
    assert time.monotonic() - begun < 20


def test_pipes_folders_devices_and_sockets(
    tmp_path: Path, reader: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    refused(reader, tmp_path / "pipe.csv", r"pipe\.csv: is a pipe, not a file")
    (tmp_path / "folder.jsonl").mkdir()
    refused(reader, tmp_path / "folder.jsonl", "is a folder, not a file")
    os.symlink("/dev/zero", tmp_path / "zero.parquet")
    refused(reader, tmp_path / "zero.parquet", "is a device, not a file")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as open_socket:
        open_socket.bind("s.json")
        refused(reader, tmp_path / "s.json", "is a socket, not a file|cannot be opened")


def test_paths_that_are_none(tmp_path: Path, reader: object) -> None:
    refused(reader, tmp_path / "absent.csv", "absent.csv: there is no such file")
    refused(reader, tmp_path / "a\0b.csv", r"cannot be opened \(embedded null byte\)")
    refused(reader, tmp_path / ("x" * 300 + ".csv"), "cannot be opened")
    os.symlink(tmp_path / "loop.csv", tmp_path / "loop.csv")
    refused(reader, tmp_path / "loop.csv", "cannot be opened")
    (tmp_path / "file").write_text("")
    refused(reader, tmp_path / "file" / "t.csv", "there is no such file")


def test_no_name_at_all() -> None:
    with pytest.raises(
        WorkbenchError, match="the source of the questions is empty; give 'builtin'"
    ):
        questions_from(" ")


def test_a_hundred_megabytes_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    with path.open("wb") as file:
        file.write(b'{"question": "')
        file.truncate(100 * 2**20)
    refused(READERS["questions"], path, "a line is longer than 16 MiB")


def test_bounds(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345\n7")
    assert read_regular(path) == b"12345\n7"
    with pytest.raises(WorkbenchError, match="MiB that are read"):
        read_regular(path, most=6)
    with pytest.raises(WorkbenchError, match="a line is longer"):
        read_regular(path, most_line=0)


def test_a_file_of_the_system_is_empty() -> None:
    if not Path("/proc/cpuinfo").exists():
        pytest.skip("there is no /proc here")
    assert read_regular(Path("/proc/cpuinfo")) == b""
