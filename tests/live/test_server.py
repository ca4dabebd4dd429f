"""Only the page itself is answered; what it asks is checked, and its texts stay texts."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from workbench.live import server
from workbench.live.guard import Address, new_address
from workbench.live.requests import MOST_BYTES
from workbench.live.session import Session
from workbench.live.worker import Line, Worker

testclient = pytest.importorskip("starlette.testclient")
ADDRESS = Address(8765, "secret-of-the-test")
HOST = "http://127.0.0.1:8765"
PATIENCE = 20


@pytest.fixture(scope="module")
def client(session: Session) -> Iterator[Any]:
    """A reader without headers of its own."""
    worker = Worker()
    app = server.make_app(session, worker, ADDRESS)
    with testclient.TestClient(app, base_url=HOST) as opened:
        yield opened
    worker.close()


def body(pair: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"view": "tokens", "pair": pair} | more


def post(client: Any, content: Any, path: str = f"/{ADDRESS.secret}/view", **headers: str) -> Any:
    """A request as the page sends it, but for what is given."""
    sent = {"origin": HOST, "content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return client.post(path, content=raw, headers={k: v for k, v in sent.items() if v})


def test_the_page_itself_is_answered(client: Any, pair: dict[str, Any]) -> None:
    answer = post(client, body(pair))
    assert answer.status_code == 200
    (line,) = [json.loads(text) for text in answer.text.splitlines()]
    assert "".join(line["base"]) == pair["base"]["text"]
    assert line["partners"] == list(range(len(line["base"])))


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/wrong/view", {}, 404),
        ("/view", {}, 404),
        ("/", {}, 404),
        (None, {"origin": "http://evil.example"}, 403),
        (None, {"origin": "null"}, 403),
        (None, {"origin": "http://127.0.0.1:9"}, 403),
        (None, {"origin": ""}, 403),
        (None, {"sec_fetch_site": "cross-site"}, 403),
        (None, {"host": "evil.example:8765"}, 421),
        (None, {"host": "127.0.0.1"}, 421),
        (None, {"content_type": "text/plain"}, 415),
        (None, {"content_type": ""}, 415),
        (None, {"content_type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_everyone_else_is_refused(
    client: Any, pair: dict[str, Any], path: str | None, headers: dict[str, str], status: int
) -> None:
    answer = post(client, body(pair), path or f"/{ADDRESS.secret}/view", **headers)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")
    assert "access-control-allow-origin" not in answer.headers


def test_another_origin_gets_no_leave_before_it_asks(client: Any) -> None:
    asked = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    answer = client.options(f"/{ADDRESS.secret}/view", headers=asked)
    assert answer.status_code in (403, 405)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "cannot be read"),
        ({"view": "tokens"}, "pair"),
        ({"view": "shell", "pair": "PAIR"}, "cannot be read"),
        ({"view": "tokens", "pair": "PAIR", "path": "/etc/passwd"}, "path"),
        ({"view": "curve", "pair": "PAIR", "read": "READ", "position": -1}, "position"),
        ({"view": "curve", "pair": "PAIR", "read": "READ", "position": "1"}, "position"),
        ({"view": "generate", "pair": "PAIR", "change": "SWAP", "tokens": 10**6}, "tokens"),
        ({"view": "grid", "pair": "PAIR", "read": "READ", "positions": [1] * 65}, "positions"),
    ],
)
def test_unknown_keys_and_unbounded_numbers_are_refused(
    client: Any, pair: dict[str, Any], content: Any, said: str
) -> None:
    known = {
        "PAIR": pair,
        "READ": {"kind": "texts", "first": "1", "second": "2"},
        "SWAP": {"kind": "swap", "layer": 1, "position": 3},
    }
    if isinstance(content, dict):
        content = {k: known.get(v, v) if isinstance(v, str) else v for k, v in content.items()}
    answer = post(client, content)
    assert answer.status_code == 422
    assert said in answer.text


def test_a_long_request_is_refused_unread(client: Any) -> None:
    assert post(client, b" " * (MOST_BYTES + 1)).status_code == 413


def test_a_conversation_of_too_many_tokens_is_refused(client: Any, pair: dict[str, Any]) -> None:
    long = {"kind": "text", "text": "a b " * 1000, "model": "base"}
    answer = post(client, body({"base": long, "donor": pair["donor"]}))
    assert "the live bench takes 1024" in json.loads(answer.text)["message"]


def test_the_page_may_load_nothing_from_elsewhere(client: Any) -> None:
    answer = client.get(f"/{ADDRESS.secret}/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'self' 'unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    for link in re.findall(r'(?:src|href)="([^"#]+)"', answer.text):
        assert ":" not in link.removeprefix("data:")
        if not link.startswith("data:"):
            assert client.get(f"/{ADDRESS.secret}/{link}").status_code == 200
    assert "<script>" not in answer.text
    assert " on" not in re.sub(r">[^<]*<", "><", answer.text)


def test_hostile_text_comes_back_as_data(client: Any, pair: dict[str, Any]) -> None:
    hostile = "</script><img src=x onerror=alert(1)> \u202e 12"
    sides = {
        side: pair["base"] | {"text": hostile + end}
        for side, end in (("base", "1"), ("donor", "2"))
    }
    answer = post(client, body(sides))
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "".join(json.loads(answer.text)["base"]) == hostile + "1"


def test_secrets_differ() -> None:
    one, two = new_address(1), new_address(1)
    assert one.secret != two.secret
    assert len(one.secret) >= 32
    assert one.url == f"http://127.0.0.1:1/{one.secret}/"
    assert replace(one, port=2).hosts == ("127.0.0.1:2", "localhost:2")


def test_a_reader_who_leaves_cancels_the_view(
    session: Session, pair: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    made, closed = [], threading.Event()

    def slow(session: Session, view: Any) -> Iterator[Line]:
        try:
            for number in range(1000):
                made.append(number)
                yield {"n": number}
                time.sleep(0.02)
        finally:
            closed.set()

    monkeypatch.setattr(server, "view_lines", slow)
    worker = Worker()
    app = server.make_app(session, worker, ADDRESS)
    content = json.dumps(body(pair)).encode()
    scope = {
        "type": "http", "asgi": {"spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": f"/{ADDRESS.secret}/view", "raw_path": b"", "query_string": b"",
        "root_path": "", "client": None, "server": None,
        "headers": [
            (b"host", b"127.0.0.1:8765"), (b"origin", HOST.encode()),
            (b"content-type", b"application/json"), (b"content-length", str(len(content)).encode()),
        ],
    }  # fmt: skip

    async def read_a_little() -> None:
        some = asyncio.Event()
        messages = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await some.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message.get("body"):
                some.set()

        await app(scope, receive, send)

    asyncio.run(read_a_little())
    assert closed.wait(PATIENCE)
    assert 0 < len(made) < 500
    worker.close()
