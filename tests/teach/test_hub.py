"""The upload through the hub's own client, over HTTP, to a small server in this process that
keeps what it is sent.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import WorkbenchError
from workbench.teach.hub import FILES, check_repository, push_adapter


class Hub(BaseHTTPRequestHandler):
    files: dict[str, bytes]
    created: list[dict[str, Any]]
    refuse: bool

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        if self.refuse or self.headers.get("Authorization") != "Bearer hf_test":
            self._reply(403, {"error": "no right to write here"})
        elif self.path == "/api/repos/create":
            self.created.append(json.loads(body))
            self._reply(200, {"url": f"http://{self.headers['Host']}/owner/name"})
        elif self.path == "/api/validate-yaml":
            self._reply(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked
            ]
            self._reply(200, {"files": modes})
        elif "/commit/" in self.path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self._reply(
                200,
                {
                    "commitUrl": f"http://{self.headers['Host']}/owner/name/commit/1",
                    "commitOid": "1",
                },
            )
        else:
            self._reply(404, {"error": self.path})

    def do_GET(self) -> None:
        found = {"id": "owner/name", "sha": "0", "siblings": [], "tags": [], "private": True}
        self._reply(*((404, {"error": "not here"}) if self.refuse else (200, found)))

    def log_message(self, *_: Any) -> None: ...

    def _chunks(self) -> bytes:
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _reply(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Hub]]]:
    handler = type("Fresh", (Hub,), {"files": {}, "created": [], "refuse": False})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    for name in (*FILES, "optimizer.pt"):
        (tmp_path / name).write_bytes(f"content of {name}".encode())
    return tmp_path


def test_the_adapter_and_its_card_arrive_and_nothing_else(
    hub: tuple[str, type[Hub]], adapter: Path
) -> None:
    endpoint, handler = hub
    assert push_adapter(adapter, "owner/name", endpoint) == f"{endpoint}/owner/name"
    assert handler.files == {name: f"content of {name}".encode() for name in FILES}
    (created,) = handler.created
    assert (created["name"], created["organization"], created["visibility"]) == (
        "name",
        "owner",
        "private",
    )


def test_a_refusal_is_said(hub: tuple[str, type[Hub]], adapter: Path) -> None:
    endpoint, handler = hub
    handler.refuse = True
    with pytest.raises(WorkbenchError, match="could not be uploaded to owner/name"):
        push_adapter(adapter, "owner/name", endpoint)


def test_without_a_connection_that_is_said(hub: tuple[str, type[Hub]], adapter: Path) -> None:
    with pytest.raises(WorkbenchError, match="could not be uploaded to owner/name"):
        push_adapter(adapter, "owner/name", "http://127.0.0.1:9")


def test_an_unfinished_adapter_is_not_uploaded(adapter: Path) -> None:
    (adapter / "README.md").unlink()
    with pytest.raises(WorkbenchError, match=r"lacks README\.md"):
        push_adapter(adapter, "owner/name")


@pytest.mark.parametrize("name", ["name", "a/b/c", "owner/na me", ""])
def test_what_is_no_repository_is_refused_beforehand(name: str) -> None:
    with pytest.raises(WorkbenchError, match="write it as owner/name"):
        check_repository(name)
    check_repository("owner/name")
