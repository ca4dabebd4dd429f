"""Answer the messages of a live bench in a notebook, without a server.

A message asks for the session or for a view, or says that a view is not wanted any more. Its answer
is one message a line, with the number of what was asked. Lines are computed in the notebook's own
thread, as a task of its event loop between whose lines other messages are read: so a view never
uses the model while a cell does, a newer view of a kind ends the older one, and a cell that is run
waits for the line at work alone. Where no loop runs, a view is computed to its end at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from workbench.errors import WorkbenchError
from workbench.live.catalogue import catalogue
from workbench.live.requests import MOST_BYTES, read_view
from workbench.live.session import Session
from workbench.live.views import view_lines
from workbench.live.worker import Line, told_lines

PAUSE = 0.005
"""Seconds between two lines, in which the loop reads messages."""
Send = Callable[[dict[str, Any]], None]


class Channel:
    """The answers to one notebook's messages.

    Every message names the page it comes ``from`` and has a ``number``; its answers go ``to`` that
    page with the same number, and the last of them is an ``end``.
    """

    def __init__(self, session: Session, send: Send) -> None:
        self._session: Session | None = session
        self._send = send
        self._wanted: dict[tuple[str, str], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def receive(self, message: Mapping[str, Any]) -> None:
        """Answer one message; a mistake in it is an answer."""
        page, number = str(message.get("from", ""))[:64], message.get("number")
        if self._session is None or not isinstance(number, int):
            return
        answer = partial(self._answer, page, number)
        kind = message.get("kind")
        if kind == "session":
            answer({"kind": "session", **catalogue(self._session)})
            answer({"kind": "end"})
        elif kind == "stop":
            self._wanted = {
                key: wanted
                for key, wanted in self._wanted.items()
                if (key[0], wanted) != (page, number)
            }
        elif kind == "view":
            self._begin(page, number, message.get("view"), answer)

    def close(self) -> None:
        """End every view and let the session go."""
        self._session = None
        self._wanted.clear()
        for task in self._tasks:
            task.cancel()

    @property
    def busy(self) -> bool:
        """Whether a view is being computed."""
        return bool(self._tasks)

    def _begin(self, page: str, number: int, asked: Any, answer: Callable[[Line], None]) -> None:
        session = self._session
        assert session is not None
        try:
            body = json.dumps(asked).encode()
            if len(body) > MOST_BYTES:
                raise WorkbenchError(f"A request has at most {MOST_BYTES} bytes.")
            view = read_view(body)
        except (WorkbenchError, TypeError, ValueError) as error:
            answer({"kind": "error", "message": str(error)})
            answer({"kind": "end"})
            return
        key = (page, view.view)
        self._wanted[key] = number
        lines = told_lines(lambda: view_lines(session, view))
        steps = self._steps(key, number, lines, answer)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            for _ in steps:
                pass
            return
        task = loop.create_task(_take(steps))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _steps(
        self,
        key: tuple[str, str],
        number: int,
        lines: Iterator[Line],
        answer: Callable[[Line], None],
    ) -> Iterator[None]:
        """Send a line a step, as long as the view is wanted."""
        for line in lines:
            if self._wanted.get(key) != number:
                answer({"kind": "cancelled"})
                break
            answer(line)
            yield
        if self._wanted.get(key) == number:
            del self._wanted[key]
        answer({"kind": "end"})

    def _answer(self, page: str, number: int, line: Line) -> None:
        if self._session is not None:
            self._send({"to": page, "number": number, "line": line})


async def _take(steps: Iterator[None]) -> None:
    # A message that came with this one may say that it is not wanted.
    await asyncio.sleep(PAUSE)
    for _ in steps:
        await asyncio.sleep(PAUSE)
