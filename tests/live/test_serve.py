"""The server is on this machine alone, and says what it lacks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workbench.cli.app import app
from workbench.errors import WorkbenchError
from workbench.live import serve
from workbench.live.session import open_session


def test_a_missing_library_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(WorkbenchError, match=r"confidence-workbench\[live\]"):
        serve.require_server()


def test_the_socket_is_on_loopback_and_a_taken_port_is_said() -> None:
    bound = serve.bind(0)
    bound.listen()
    host, port = bound.getsockname()
    assert host == "127.0.0.1"
    with pytest.raises(WorkbenchError, match=f"Port {port} of 127.0.0.1 cannot be used"):
        serve.bind(port)
    bound.close()


def test_the_command_tells_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, opened = [], []

    def pretend(name: str, *, tell: object, **more: object) -> None:
        asked.append((name, more["port"]))
        tell("http://127.0.0.1:1/secret/")  # type: ignore[operator]

    monkeypatch.setattr(serve, "serve", pretend)
    monkeypatch.setattr("webbrowser.open", opened.append)
    result = CliRunner().invoke(app, ["show", "first", "--open", "--port", "1"])
    assert result.exit_code == 0, result.stderr
    assert "http://127.0.0.1:1/secret/" in result.stdout
    assert (asked, opened) == ([("first", 1)], ["http://127.0.0.1:1/secret/"])


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    with (
        pytest.raises(WorkbenchError, match="has not finished"),
        open_session("half", tmp_path, tmp_path),
    ):
        pass
