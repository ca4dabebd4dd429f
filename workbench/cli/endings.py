"""End a command that fails with one sentence on the terminal and an exit code, never a traceback.

| what happened | exit code |
|---|---|
| a mistake that the person can mend, memory and disk included | 2 |
| an error that nobody expected: a report is written and named | 1 |
| Ctrl-C, SIGTERM, SIGHUP | 130, 143, 129 |
| nobody reads the output any more | 141, without a word |
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text
from typer import Abort, Exit, TyperException

from workbench.cli.terminal_text import safe_text
from workbench.errors import WorkbenchError
from workbench.settings.errors import requirement

MENDABLE, UNEXPECTED, UNREAD = 2, 1, 128 + 13
KEPT = "what was finished is kept. Give the same command again to go on."
MEMORY = (
    "There is not enough memory. Lower model.tokens_per_forward, model.kv_cache_bytes or "
    "teach.activation_cache_bytes (for an adapter, teach.batch_size "
    "too), use a smaller model, or a machine with more memory; " + KEPT
)
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "unable to allocate",
    "std::bad_alloc",
)
_PLACES = {
    errno.ENOSPC: "make room on the disk, or choose another",
    errno.EDQUOT: "make room within your quota, or choose another disk",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose a folder or file that you may use",
    errno.EPERM: "choose a folder or file that you may use",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EMFILE: "let the process open more files (ulimit -n)",
    errno.EIO: "the disk or the terminal failed; try again or choose another",
    errno.ENOTDIR: "choose a folder",
    errno.EISDIR: "choose a file",
}
"""Errors of the place that files are in, and their mend. Other errors of the system have no setting
that mends them.
"""


class Stopped(BaseException):
    """The exception for a signal of the system that stops the process."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def ending(work: Callable[[], object], command: Sequence[str]) -> NoReturn:
    """Run ``work`` and exit; where it fails, with a sentence on the terminal.

    Args:
        command: the words of the command line, for the report of an unexpected error.
    """
    try:
        with _stoppable():
            work()
            sys.stdout.flush()
        raise SystemExit(0)
    except Exit as asked:
        _leave(asked.exit_code)
    except (Abort, KeyboardInterrupt):
        _exit(130, f"Interrupted; {KEPT}")
    except Stopped as stop:
        _exit(128 + stop.number, f"Stopped by {stop}; {KEPT}")
    except (SystemExit, GeneratorExit):
        raise
    except WorkbenchError as error:
        _exit(MENDABLE, f"Error: {error}")
    except TyperException as error:
        said = usage(error)
        _exit(error.exit_code, f"Error: {said}" if said else "")
    except BrokenPipeError:
        _leave(UNREAD)
    except BaseException as error:
        sentence = _mendable(error)
        if sentence is not None:
            _exit(MENDABLE, f"Error: {sentence}")
        _exit(UNEXPECTED, _reported(error, command))


def usage(error: TyperException) -> str:
    """Return the sentence for what is wrong with the words of the command line; empty where help
    was printed instead.
    """
    cause, param = error.__cause__, getattr(error, "param", None)
    if isinstance(cause, ValidationError) and param is not None:
        option = str(param.get_error_hint()).replace("'", "")
        return f"{option}: {requirement(cause)}."
    text = error.format_message().strip()
    return f"{text}." if text and not text.endswith((".", "?", "!")) else text


def _mendable(error: BaseException) -> str | None:
    """Return the sentence for an error of the machine that the person can mend; None for
    any other.
    """
    text = str(error).lower()
    # Libraries say in words alone that memory ran out; torch's own class is a RuntimeError as well.
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | OSError) and any(w in text for w in _OUT_OF_MEMORY)
    ):
        return MEMORY
    if isinstance(error, OSError) and error.errno in _PLACES:
        what = "The output" if error.filename is None else str(error.filename)
        return (
            f"{what} cannot be read or written: {error.strerror}; {_PLACES[error.errno]}. What was "
            "finished is kept."
        )
    return None


def _reported(error: BaseException, command: Sequence[str]) -> str:
    from workbench.cli.error_report import write_error_report

    what = f"{type(error).__name__}"
    path = write_error_report(error, command)
    if path is None:
        return (
            f"Error: an unexpected error, {what}; no folder could be written to for a report of it."
        )
    return (
        f"Error: an unexpected error, {what}; the report is in {path}: please pass it on with what "
        "you did."
    )


def _exit(code: int, sentence: str) -> NoReturn:
    with suppress(OSError):
        if not sentence:
            _leave(code)
        console = Console(stderr=True)
        start = "Error:" if sentence.startswith("Error:") else ""
        rest = safe_text(sentence.removeprefix(start))
        # In a terminal words are wrapped; in a log the sentence stays one line.
        console.print(Text.assemble((start, "bold red"), rest), soft_wrap=not console.is_terminal)
    _leave(code)


def _leave(code: int) -> NoReturn:
    """Exit, and drop what could not be written to an output that is closed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _drop(stream)
    raise SystemExit(code)


def _drop(stream: Any) -> None:
    with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop the block as Ctrl-C does. A process that was told to ignore them
    still does.
    """
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)
