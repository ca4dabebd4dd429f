"""Grade mathematics exactly by the package math-verify: is the reply's expression equal to an
accepted one?

The comparison runs in another process, because it keeps time by signals, which only a main thread
has, and because it may never end for a hard expression. The process is started when first needed,
kept, and ended if a comparison takes longer than ``LIMIT`` seconds, which leaves the reply
ungraded. A reply that holds no expression is wrong.

What this does not show: equality that needs more than computer algebra can do within the limit.
"""

from __future__ import annotations

import atexit
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec

from workbench.errors import WorkbenchError
from workbench.questions.aliases import Grade

LIMIT = 10.0
_START = 60.0
_LONGEST = 20_000


def require_math_verify() -> None:
    """Refuse an environment without math-verify.

    Raises:
        WorkbenchError: if it is missing; it names the extra that brings it.
    """
    if find_spec("math_verify") is None:
        raise WorkbenchError(
            "Questions of kind 'math' need math-verify, which is not installed: pip install "
            "'confidence-workbench[math]'."
        )


def math_grade(reply: str, answers: Sequence[str], limit: float = LIMIT) -> Grade:
    """Grade whether the reply's expression equals one of ``answers``; ungraded where that takes
    longer than ``limit`` seconds.
    """
    if len(reply) > _LONGEST:
        return Grade.UNGRADED
    verdict = _WORKER.ask({"reply": reply, "answers": list(answers)}, limit)
    return {True: Grade.RIGHT, False: Grade.WRONG, None: Grade.UNGRADED}[verdict]


class _Worker:
    """The process that compares, one request at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def ask(self, request: dict[str, object], limit: float) -> bool | None:
        """Return the worker's verdict, or None if there was none in time.

        Raises:
            WorkbenchError: if the process does not start.
        """
        with self._lock:
            started = self._process is None or self._process.poll() is not None
            process = self._begin() if started else self._process
            assert process is not None
            assert process.stdin is not None
            try:
                if started and self._answers.get(timeout=_START) != "ready\n":
                    raise WorkbenchError(
                        "The process that compares expressions did not start; reinstall "
                        "math-verify."
                    )
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                found = json.loads(self._answers.get(timeout=limit))
                return None if found is None else bool(found)
            except (queue.Empty, OSError, ValueError):
                self.end()
                return None

    def _begin(self) -> subprocess.Popen[str]:
        self._answers = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workbench.questions.exact_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            # A Ctrl-C is for the process that asks, which then ends this one.
            start_new_session=True,
        )
        threading.Thread(target=_pass_on, args=(self._process, self._answers), daemon=True).start()
        return self._process

    def end(self) -> None:
        """Stop the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None


def _pass_on(process: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        answers.put(line)
    answers.put("")


_WORKER = _Worker()
atexit.register(_WORKER.end)
