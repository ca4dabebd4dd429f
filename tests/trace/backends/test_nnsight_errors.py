from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import websocket
from nnsight.intervention.backends.remote import RemoteError
from nnsight.schema.response import ResponseModel, Status

from workbench.errors import WorkbenchError
from workbench.trace.backends import nnsight_errors
from workbench.trace.backends.nnsight_answers import Patience, PlainRemote
from workbench.trace.backends.nnsight_errors import QueueTimeoutError, answered, explained, is_lost


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def status_error(code: int) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://server/request")
    return httpx.HTTPStatusError(
        "no", request=request, response=httpx.Response(code, request=request)
    )


LOST = (
    ConnectionRefusedError("refused"),
    TimeoutError("read"),
    websocket.WebSocketConnectionClosedException("closed"),
    caused(RemoteError("Failed to send request"), httpx.ConnectError("down")),
    caused(RemoteError("Failed to send request"), status_error(503)),
)
REFUSED = (
    (caused(RemoteError("Failed to send request: bad API key"), status_error(401)), "NDIF_API_KEY"),
    (RemoteError("Model org/large is not currently deployed."), "does not hold this model"),
    (QueueTimeoutError(1800.0), r"waited 1800 seconds without news.*model\.remote_wait"),
    (RemoteError("KeyError: 'x'"), r"check the network and the key"),
)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(nnsight_errors.time, "sleep", pauses.append)
    return pauses


def failing(errors: list[Exception]) -> Callable[[], str]:
    def ask() -> str:
        if errors:
            raise errors.pop(0)
        return "answer"

    return ask


@pytest.mark.parametrize("error", LOST)
def test_a_lost_request_is_sent_again(error: Exception, no_pauses: list[float]) -> None:
    assert is_lost(error)
    assert answered(failing([error, error]), "org/large", retries=2) == "answer"
    assert no_pauses == [1.0, 2.0]
    with pytest.raises(
        WorkbenchError, match=r"the connection was lost 2 times; .*goes on from what"
    ):
        answered(failing([error, error]), "org/large", retries=1)


@pytest.mark.parametrize(("error", "sentence"), REFUSED)
def test_what_the_service_refuses_is_one_sentence_at_once(
    error: Exception, sentence: str, no_pauses: list[float]
) -> None:
    with pytest.raises(WorkbenchError, match=sentence) as caught:
        answered(failing([error]), "org/large", retries=5)
    assert str(caught.value).startswith("The server did not run 'org/large'")
    assert "\n" not in explained(error, "org/large")
    assert no_pauses == []


def test_a_request_without_news_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word from the service starts the clock again."""
    now = [100.0]
    monkeypatch.setattr("workbench.trace.backends.nnsight_answers.time.monotonic", lambda: now[0])
    client: Any = PlainRemote("key", host="http://127.0.0.1:1", most_seconds=10.0)
    assert isinstance(client.display, Patience)
    now[0] = 109.0
    client.display.refresh()
    client.display.update(ResponseModel(id="1", status=Status.QUEUED))
    now[0] = 118.0
    client.display.refresh()
    now[0] = 120.0
    with pytest.raises(QueueTimeoutError):
        client.display.refresh()
