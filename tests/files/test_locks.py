from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.files.locks import EXPIRED, HOLDER, LOCK, find_holder, hold_folder, require_free

HOLD = """
import sys
from pathlib import Path
from workbench.files.locks import hold_folder
with hold_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def other_process(folder: Path) -> subprocess.Popen[str]:
    """A process that holds ``folder`` until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_with_the_first_ones_number_and_a_killed_one_lets_go(
    tmp_path: Path,
) -> None:
    process = other_process(tmp_path)
    refusal = rf"is being worked on by process {process.pid} on \S+, since 20\d\d-.*; wait"
    with pytest.raises(WorkbenchError, match=refusal), hold_folder(tmp_path):
        pass
    with pytest.raises(WorkbenchError, match=refusal):
        require_free(tmp_path)
    process.kill()
    process.wait()
    assert (tmp_path / HOLDER).exists()
    with hold_folder(tmp_path):
        assert json.loads((tmp_path / HOLDER).read_text())["pid"] == os.getpid()
    assert not (tmp_path / HOLDER).exists()
    require_free(tmp_path)


def test_one_process_may_hold_a_folder_within_itself(tmp_path: Path) -> None:
    with hold_folder(tmp_path):
        with hold_folder(tmp_path / "." / ".." / tmp_path.name):
            assert (tmp_path / HOLDER).exists()
        assert (tmp_path / HOLDER).exists()
    assert not (tmp_path / HOLDER).exists()


def test_an_error_inside_lets_go(tmp_path: Path) -> None:
    with pytest.raises(KeyError), hold_folder(tmp_path):
        raise KeyError
    require_free(tmp_path)


def sign_of_life(folder: Path, host: str, age: float) -> None:
    (folder / HOLDER).write_text(
        json.dumps({"host": host, "pid": 7, "since": "2026-01-01 00:00:00"})
    )
    os.utime(folder / HOLDER, (time.time() - age, time.time() - age))


def test_another_machine_whose_lock_does_not_arrive_is_seen_by_its_sign_of_life(
    tmp_path: Path,
) -> None:
    (tmp_path / LOCK).touch()
    sign_of_life(tmp_path, "elsewhere 1234", age=EXPIRED - 20)
    with (
        pytest.raises(
            WorkbenchError, match="worked on by process 7 on elsewhere, since 2026-01-01"
        ),
        hold_folder(tmp_path),
    ):
        pass
    sign_of_life(tmp_path, "elsewhere 1234", age=EXPIRED + 5)
    with hold_folder(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}', "\0" * 20])
def test_a_damaged_sign_of_life_does_not_matter(tmp_path: Path, text: str) -> None:
    (tmp_path / HOLDER).write_text(text)
    with hold_folder(tmp_path):
        pass


def test_the_sign_of_life_is_renewed_while_the_folder_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.files.locks.RENEWED", 0.01)
    with hold_folder(tmp_path):
        os.utime(tmp_path / HOLDER, (0, 0))
        deadline = time.monotonic() + 5
        while (tmp_path / HOLDER).stat().st_mtime < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - (tmp_path / HOLDER).stat().st_mtime < 60


def test_the_holder_is_found_without_the_lock_and_a_dead_one_is_not(tmp_path: Path) -> None:
    assert find_holder(tmp_path) is None
    process = other_process(tmp_path)
    found = find_holder(tmp_path)
    assert found is not None
    assert found.pid == process.pid
    process.kill()
    while process.poll() is None:  # a process that nobody has waited for is dead as well
        time.sleep(0.01)
    assert (tmp_path / HOLDER).exists()
    assert find_holder(tmp_path) is None
    with hold_folder(tmp_path):
        found = find_holder(tmp_path)
        assert found is not None
        assert found.pid == os.getpid()
    assert find_holder(tmp_path) is None


def test_another_machine_holds_a_folder_as_long_as_its_sign_of_life_is_young(
    tmp_path: Path,
) -> None:
    (tmp_path / LOCK).touch()
    sign_of_life(tmp_path, "elsewhere 1234", age=EXPIRED - 20)
    assert find_holder(tmp_path) is not None
    sign_of_life(tmp_path, "elsewhere 1234", age=EXPIRED + 5)
    assert find_holder(tmp_path) is None
