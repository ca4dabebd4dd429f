"""The nnsight backend against a server that speaks NDIF's protocol on this machine.

The server takes requests over HTTP and reports over a websocket, as NDIF does, and runs each one in
another process that holds the weights and cannot import the workbench. The client's own weights are
set to zero: what comes back was computed there.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import queue
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import zstandard
from nnsight import CONFIG
from nnsight.modeling import huggingface
from nnsight.schema.response import ResponseModel, Status
from peft import LoraConfig, get_peft_model

from workbench.elicit.answer import greedy_tokens
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.server import attach_server
from workbench.trace.backends.nnsight import NnsightBackend
from workbench.trace.backends.nnsight_service import NnsightService
from workbench.trace.interventions import Patch
from workbench.trace.packed import patch_branches
from workbench.trace.sites import Site

MakeTiny = Callable[..., LanguageModel]
WORKER = """
import io, json, sys, torch, zstandard

class NoWorkbench:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("workbench", "tests"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoWorkbench())
from nnsight.modeling.transformers import TransformersModel
from nnsight.schema.request import RequestModel
from nnsight.tracing.tracer import dec, inc

model = TransformersModel(sys.argv[1], task="text-generation", dispatch=True)

def answered(env, blob):
    model._remoteable_set_env(env)
    tracer = RequestModel.deserialize(blob, model._remoteable_persistent_objects(), compress=True)
    sent = dict(tracer.info.frame.f_locals)
    inc()
    try:
        tracer.execute(tracer.info.code)
        saved = {name: value for name, value in tracer.info.frame.f_locals.items() if value is not sent.get(name)}
    finally:
        dec()
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    return zstandard.ZstdCompressor().compress(buffer.getvalue())

for line in sys.stdin:
    asked = json.loads(line)
    try:
        open(asked["answer"], "wb").write(answered(asked["env"], open(asked["request"], "rb").read()))
        print("done", flush=True)
    except Exception as error:
        print(repr(error), flush=True)
"""


class Server:
    """Requests that came in, and the process that runs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.answers: queue.Queue[bytes] = queue.Queue()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.worker: subprocess.Popen[str] | None = None
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def hold(self, lm: LanguageModel) -> None:
        """Start the process on the model's weights; once."""
        if self.worker is not None:
            return
        lm.model.save_pretrained(self.folder / "weights")
        lm.tokenizer.save_pretrained(self.folder / "weights")
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [sys.executable, "-c", WORKER, str(self.folder / "weights")]
        pipe = subprocess.PIPE
        self.worker = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, cwd=self.folder, env=environment
        )

    def run(self, request: dict[str, Any], blob: bytes) -> ResponseModel:
        assert self.worker is not None
        assert self.worker.stdin is not None
        assert self.worker.stdout is not None
        asked, answered = self.folder / "request", self.folder / "answer"
        asked.write_bytes(blob)
        self.worker.stdin.write(
            json.dumps({"env": request["env"], "request": str(asked), "answer": str(answered)})
            + "\n"
        )
        self.worker.stdin.flush()
        outcome = self.worker.stdout.readline().strip()
        if outcome != "done":
            return ResponseModel(id="1", status=Status.ERROR, description=outcome)
        return ResponseModel(id="1", status=Status.COMPLETED, data=answered.read_bytes())

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        if self.worker is not None:
            self.worker.kill()
            self.worker.communicate()


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            """/subscribe: a websocket that hands out a session and then waits for the answer."""
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header(
                "Sec-WebSocket-Accept",
                base64.b64encode(hashlib.sha1(key.encode()).digest()).decode(),
            )
            self.end_headers()
            self._frame(0x81, json.dumps({"session_id": "session"}).encode())
            self._frame(0x82, server.answers.get(timeout=120))
            self.close_connection = True

        def do_POST(self) -> None:
            """/request: routing fields and the packed session, as two parts of a form."""
            server.keys.append(self.headers["ndif-api-key"])
            body = self.rfile.read(int(self.headers["Content-Length"]))
            boundary = re.search("boundary=(.+)", self.headers["Content-Type"])
            assert boundary is not None
            parts = (b"\r\n" + body).split(b"\r\n--" + boundary.group(1).encode())[1:-1]
            routing, blob = (part.partition(b"\r\n\r\n")[2] for part in parts)
            server.requests.append(json.loads(routing))
            received = ResponseModel(id="1", status=Status.RECEIVED).model_dump_json().encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(received)))
            self.end_headers()
            self.wfile.write(received)
            server.answers.put(server.run(server.requests[-1], blob).pickle())

        def _frame(self, kind: int, payload: bytes) -> None:
            self.wfile.write(bytes([kind, 127]) + struct.pack(">Q", len(payload)) + payload)
            self.wfile.flush()

    return Handler


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def server(running: Server, make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server with the weights of the tiny gemma2 that calls itself org/tiny."""
    monkeypatch.setitem(huggingface._ID_CACHE, "org/tiny", "org/tiny")
    monkeypatch.setattr(CONFIG.API, "APIKEY", "a key")
    monkeypatch.setattr(CONFIG.APP, "REMOTE_LOGGING", False)
    running.hold(make_tiny("gemma2"))
    running.requests.clear()
    running.keys.clear()
    return running


def without_weights(lm: LanguageModel) -> LanguageModel:
    """The model's shape alone, as a client of a model too large for its machine has it."""
    return lm.with_model(lm.model.to("meta"))


def test_a_sweep_is_one_request_and_its_numbers_come_from_the_server(
    make_tiny: MakeTiny, server: Server, case: Any, oracle: Callable[..., Any]
) -> None:
    backend = NnsightBackend(
        without_weights(make_tiny("gemma2")), remote=server.url, repo="org/tiny"
    )
    ids = torch.tensor([3, 17])
    found = backend.patch(
        case.prompts, case.branches, lambda logits: logits[:, ids], tokens_per_forward=20
    )
    expected = oracle(make_tiny("gemma2")).patch(
        case.prompts, case.branches, lambda logits: logits[:, ids]
    )
    torch.testing.assert_close(found.base, expected.base, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.patched, expected.patched, rtol=1e-4, atol=1e-4)
    assert server.keys == ["a key"]
    [request] = server.requests
    name, _, identity = request["model_key"].partition(":")
    assert name == "nnsight.modeling.transformers.TransformersModel"
    assert json.loads(identity) == {
        "repo_id": "org/tiny",
        "revision": None,
        "task": "text-generation",
    }
    assert request["env"] == {"attn_implementation": "eager"}


def test_packed_passes_and_text_are_computed_by_the_server(
    make_tiny: MakeTiny, server: Server, case: Any
) -> None:
    """The process behind the server holds the weights and cannot import the workbench."""
    here, there = make_tiny("gemma2"), without_weights(make_tiny("gemma2"))
    backend = NnsightBackend(there, remote=server.url, repo="org/tiny", most_seconds=60.0)
    attach_server(there.model, "org/tiny", NnsightService(backend))
    stop = torch.zeros(384, dtype=torch.bool)
    tokens, scores = greedy_tokens(there, case.prompts, 6, stop)
    expected, own = greedy_tokens(here, case.prompts, 6, stop)
    assert tokens == expected
    torch.testing.assert_close(torch.tensor(scores), torch.tensor(own), rtol=0, atol=1e-4)
    ids = torch.tensor([3, 17])
    given: Any = {"tokens_per_forward": 10_000}
    found, wanted = (
        patch_branches(lm, case.prompts, case.branches, lambda logits: logits[:, ids], **given)
        for lm in (there, here)
    )
    torch.testing.assert_close(found.patched, wanted.patched, rtol=1e-4, atol=1e-4)
    assert len(server.requests) == 2


def test_an_adapter_is_named_and_put_on_by_the_server(
    make_tiny: MakeTiny, server: Server, tmp_path: Path
) -> None:
    lm = make_tiny("gemma2")
    torch.manual_seed(5)
    tuned = get_peft_model(
        lm.model, LoraConfig(r=4, target_modules=["o_proj"], init_lora_weights=False)
    ).eval()
    tuned.save_pretrained(tmp_path)
    ask = ([[5, 6, 7], [9]], [[2], [0]], [Site(3), Site(0, "attn_out")])
    expected = NnsightBackend(lm.with_model(tuned)).record(*ask)
    client = without_weights(make_tiny("gemma2"))
    found = NnsightBackend(client, remote=server.url, repo="org/tiny", peft=str(tmp_path)).record(
        *ask
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert server.requests[0]["env"]["peft"] == str(tmp_path)


def test_what_fails_on_a_server_is_a_sentence(make_tiny: MakeTiny, server: Server) -> None:
    """The readout is defined in a module the server does not have, so its source went along."""
    backend = NnsightBackend(
        without_weights(make_tiny("gemma2")), remote=server.url, repo="org/tiny"
    )
    patch = Patch(Site(1), torch.tensor([1]), torch.ones(1, 32))
    with pytest.raises(
        WorkbenchError, match=r"server did not run 'org/tiny' .*KeyError.*no such token"
    ):
        backend.patch([[5, 6]], [[patch]], no_such_token, tokens_per_forward=9)


def test_an_answer_with_code_in_it_is_refused_unread(
    make_tiny: MakeTiny, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Touch:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    buffer = io.BytesIO()
    torch.save({"answers": [Touch()]}, buffer)
    data = zstandard.ZstdCompressor().compress(buffer.getvalue())
    answer = ResponseModel(id="1", status=Status.COMPLETED, data=data)
    monkeypatch.setattr(server, "run", lambda request, blob: answer)
    backend = NnsightBackend(
        without_weights(make_tiny("gemma2")), remote=server.url, repo="org/tiny"
    )
    with pytest.raises(WorkbenchError, match="no part of a tensor, so none of it was read"):
        backend.record([[5, 6]], [[1]], [Site(1)])
    assert not (tmp_path / "ran").exists()


def no_such_token(logits: torch.Tensor) -> torch.Tensor:
    raise KeyError("no such token")
