from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer

from workbench.cli.endings import MEMORY, ending
from workbench.errors import WorkbenchError


def failing(error: BaseException) -> Callable[[], object]:
    def work() -> object:
        raise error

    return work


def ended(work: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and what was said."""
    with pytest.raises(SystemExit) as exit_:
        ending(work, ["workbench", "run"])
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    return int(exit_.value.code or 0), shown.err


KEPT = "what was finished is kept. Give the same command again to go on.\n"
ROOM = "make room on the disk, or choose another. What was finished is kept.\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (WorkbenchError("The seed is wrong."), 2, "Error: The seed is wrong.\n"),
        (WorkbenchError("no \x1b[2J[red]such\u202e"), 2, "Error: no \\x1b[2J[red]such\\u202e\n"),
        (KeyboardInterrupt(), 130, f"Interrupted; {KEPT}"),
        (typer.Abort(), 130, f"Interrupted; {KEPT}"),
        (typer.Exit(3), 3, ""),
        (typer.BadParameter("it is odd"), 2, "Error: Invalid value: it is odd.\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
        (MemoryError(), 2, f"Error: {MEMORY}\n"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            2,
            f"Error: {MEMORY}\n",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            2,
            f"Error: {MEMORY}\n",
        ),
        (OSError(errno.ENOMEM, "Cannot allocate memory: out of memory"), 2, f"Error: {MEMORY}\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/a"),
            2,
            f"Error: runs/a cannot be read or written: No space left on device; {ROOM}",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            2,
            f"Error: The output cannot be read or written: No space left on device; {ROOM}",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "figures/a\x1b"),
            2,
            "Error: figures/a\\x1b cannot be read or written: Permission denied; choose a folder "
            "or file that you may use. "
            "What was finished is kept.\n",
        ),
    ],
)
def test_each_error_has_its_exit_code_and_its_sentence(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(failing(error), capsys) == (code, said)


def test_what_ends_well_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: "a result", capsys) == (0, "")


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_being_told_to_stop_unwinds_and_says_so(
    name: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned, number = [], getattr(signal, name)

    def work() -> None:
        try:
            os.kill(os.getpid(), number)
            # Not signal.pause: the system may give the signal to another thread of the process,
            # which does not wake this one.
            for _ in range(1000):
                time.sleep(0.01)
        finally:
            cleaned.append(True)

    # Whoever started the tests may ignore it, as nohup does.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        assert ended(work, capsys) == (code, f"Stopped by {name}; {KEPT}")
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert cleaned == [True]


def test_a_signal_that_is_to_be_ignored_stays_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ended(lambda: os.kill(os.getpid(), signal.SIGHUP), capsys) == (0, "")
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def deep(n: int) -> int:
    return deep(n + 1)


@pytest.mark.parametrize(
    ("work", "name"),
    [
        (failing(ZeroDivisionError("division by zero")), "ZeroDivisionError"),
        (failing(FileNotFoundError(errno.ENOENT, "No such file", "parts/1")), "FileNotFoundError"),
        (lambda: deep(0), "RecursionError"),
        (failing(ValueError("two\nlines \x1b[2J")), "ValueError"),
    ],
)
def test_an_unexpected_error_leaves_a_report_and_names_it(
    work: Callable[[], object],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = ended(work, capsys)
    (report,) = tmp_path.iterdir()
    assert code == 1
    assert said == (
        f"Error: an unexpected error, {name}; the report is in {report.name}: please pass it on "
        "with what you did.\n"
    )
    text = report.read_text()
    assert f"\n{name}" in text
    assert "Traceback (most recent call last)" in text
    assert "\x1b" not in text


def test_where_nothing_can_be_written_the_error_is_named_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("workbench.cli.error_report.write_error_report", lambda *_: None)
    assert ended(failing(KeyError("x")), capsys) == (
        1,
        "Error: an unexpected error, KeyError; no folder could be written to for a report of it.\n",
    )


def test_outside_the_main_thread_no_signal_is_touched() -> None:
    from threading import Thread

    codes: list[object] = []

    def body() -> None:
        try:
            ending(lambda: None, [])
        except SystemExit as exit_:
            codes.append(exit_.code)

    thread = Thread(target=body)
    thread.start()
    thread.join()
    assert codes == [0]
    assert sys.stdout is not None
