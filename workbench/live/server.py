"""Serve the page of the live bench and its views, as lines of JSON.

The page and its scripts are files of the package; nothing is fetched from elsewhere. A view is
computed by the worker's thread, and its lines are sent as they come. Where the reader goes away,
the server notices, and the view is cancelled before its next line.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import PurePath
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from workbench.errors import WorkbenchError
from workbench.live.catalogue import catalogue
from workbench.live.guard import Address, Guard
from workbench.live.page_files import PAGE, PLOTLY, SHARED, page_file
from workbench.live.requests import MOST_BYTES, View, read_view
from workbench.live.session import Session
from workbench.live.views import view_lines
from workbench.live.worker import Line, Worker

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
LINES = "application/x-ndjson"
OWN = ("live.css", "server.js", "live.js", "figures.js", "exports.js")
"""What the page asks for, beside the files it shares."""


def make_app(session: Session, worker: Worker, address: Address) -> ASGIApp:
    """Return the application, guarded."""
    routes = [
        Route("/" if name == PAGE else f"/{name}", partial(_file, name), methods=["GET"])
        for name in (PAGE, *OWN, *SHARED, PLOTLY)
    ]
    state = Starlette(
        routes=[
            *routes,
            Route("/session", partial(_session, session), methods=["GET"]),
            Route("/view", partial(_view, session, worker), methods=["POST"]),
        ]
    )
    return Guard(state, address, MOST_BYTES)


async def _file(name: str, request: Request) -> Response:
    return Response(page_file(name), media_type=TYPES[PurePath(name).suffix])


async def _session(session: Session, request: Request) -> Response:
    return JSONResponse(await asyncio.to_thread(catalogue, session))


async def _view(session: Session, worker: Worker, request: Request) -> Response:
    try:
        view = read_view(await request.body())
    except WorkbenchError as error:
        return PlainTextResponse(str(error), 422)
    # A page is one person's: its newer view of a kind makes the older one pointless.
    page = request.headers.get("x-page", "")[:64]
    return StreamingResponse(_lines(session, worker, page, view), media_type=LINES)


async def _lines(session: Session, worker: Worker, page: str, view: View) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[Line | None] = asyncio.Queue()

    def receive(line: Line | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(waiting.put_nowait, line)

    try:
        job = worker.submit((page, view.view), partial(view_lines, session, view), receive)
    except WorkbenchError as error:
        yield _written({"kind": "error", "message": str(error)})
        return
    try:
        while (line := await waiting.get()) is not None:
            yield _written(line)
    finally:
        job.cancel()


def _written(line: dict[str, Any]) -> bytes:
    return (json.dumps(line, ensure_ascii=True, allow_nan=False) + "\n").encode()
