"""Turn what a remote service raises into one sentence each, and try lost requests again.

Passes are computed from a request alone, so a request can be sent twice. It is sent again where the
connection was lost or the service was down for a moment; a key, a model or a session that the
service refused is refused at once, and so is one that waited too long in its queue.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx
import websocket
from nnsight.intervention.backends.remote import RemoteError

from workbench.errors import WorkbenchError
from workbench.progress import notice

Answer = TypeVar("Answer")

KEY = re.compile(r"\b(401|403|unauthori[sz]ed|forbidden)\b|api[ _-]?key", re.IGNORECASE)
NOT_HOSTED = re.compile(
    r"\bnot\s+(currently\s+)?(deployed|hosted|scheduled|available|running|found|supported)\b"
    r"|\bno (such )?(model|deployment)\b|\b404\b",
    re.IGNORECASE,
)
DOWN = re.compile(r"\b(429|500|502|503|504)\b")
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class QueueTimeoutError(Exception):
    """A request waited longer than it may without news of it. ``seconds`` is the bound."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no news for {seconds:g} seconds")
        self.seconds = seconds


def answered(ask: Callable[[], Answer], model: str, retries: int) -> Answer:
    """Return what ``ask`` returns, asking again at most ``retries`` times where a request was lost.

    Args:
        model: how errors call the model on the service.

    Raises:
        WorkbenchError: for whatever the service, or the connection to it, raises.
    """
    for attempt in range(retries + 1):
        try:
            return ask()
        except WorkbenchError:
            raise
        except Exception as error:
            if attempt == retries or not is_lost(error):
                raise WorkbenchError(explained(error, model, attempt)) from error
            pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
            notice(
                f"A request to {model!r} was lost ({type(error).__name__}); it is sent again in "
                f"{pause:g} s, {retries - attempt} more times at most."
            )
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def is_lost(error: BaseException) -> bool:
    """Return whether a request may succeed when it is sent again: the connection was lost, or the
    service said that it is down for a moment.
    """
    for one in _chain(error):
        if isinstance(one, QueueTimeoutError):
            return False
        if isinstance(one, httpx.HTTPStatusError):
            return bool(DOWN.fullmatch(str(one.response.status_code)))
        if isinstance(one, websocket.WebSocketBadStatusException):
            return bool(DOWN.fullmatch(str(one.status_code)))
        if isinstance(one, OSError | websocket.WebSocketException | httpx.TransportError):
            return True
    return False


def explained(error: BaseException, model: str, retried: int = 0) -> str:
    """Say in one sentence what went wrong with a request to ``model``, and the mend."""
    told = " ".join(str(error).split()) or type(error).__name__
    refused = f"The server did not run {model!r} ({type(error).__name__}: {told})"
    again = f" {retried + 1} times" if retried else ""
    for one in _chain(error):
        if isinstance(one, QueueTimeoutError):
            return (
                f"{refused}: the request waited {one.seconds:g} seconds without news; ask again "
                "when the service is less busy, or raise model.remote_wait."
            )
    if is_lost(error):
        return (
            f"{refused}: the connection was lost{again}; check the network, and run the same "
            "command again, which goes on from what was written."
        )
    if KEY.search(told):
        return (
            f"{refused}: the service does not take the key; set NDIF_API_KEY to a valid one before "
            "Python starts."
        )
    if isinstance(error, RemoteError) and NOT_HOSTED.search(told):
        return (
            f"{refused}: the service does not hold this model; nnsight.ndif.status() lists those "
            "it holds."
        )
    return f"{refused}; check the network and the key, and that nnsight.ndif.status() lists it."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
