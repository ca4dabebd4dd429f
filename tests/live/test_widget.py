"""The widget answers traitlets' messages, sends its page only when asked, and lets go."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.live.session import Session
from workbench.loop import open_run
from workbench.models import LanguageModel

anywidget = pytest.importorskip("anywidget")
READ = {"kind": "texts", "first": "1", "second": "2"}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What widgets send to their pages."""
    found: list[Any] = []
    monkeypatch.setattr(
        anywidget.AnyWidget, "send", lambda self, content, buffers=None: found.append(content)
    )
    return found


def ask(widget: Any, **message: Any) -> None:
    """As a notebook's front end sends it, through JSON."""
    widget._handle_custom_msg(json.loads(json.dumps({"from": "p", **message})), [])


def test_a_patch_by_message_is_the_library_s_number(
    session: Session, pair: dict[str, Any], sent: list[Any]
) -> None:
    widget = wb.live_widget(session.lm)
    view = {"view": "curve", "pair": pair, "read": READ, "position": 9}
    ask(widget, kind="view", number=1, view=view)
    found = wb.sweep(session.lm, pair["base"]["text"], pair["donor"]["text"], read=("1", "2"), at=9)
    assert sent[-2]["line"]["value"] == pytest.approx(found.patched[0].tolist(), abs=1e-6)
    json.dumps(sent, allow_nan=False)
    widget.close()
    before = len(sent)
    ask(widget, kind="view", number=2, view=view)
    assert len(sent) == before


def test_the_page_comes_when_it_is_asked_for_and_reaches_nothing(
    session: Session, sent: list[Any]
) -> None:
    widget = wb.live_widget(session.lm, height=700)
    state = json.dumps(widget.get_state(), default=str)
    assert len(state) < 20_000
    assert widget.height == 700
    ask(widget, kind="page")
    (answer,) = sent
    page = answer["page"]
    assert "default-src 'none'" in page
    assert "connect-src" not in page.partition("<style>")[0]
    assert page.count("<script>") == page.count("</script>")
    assert ' src="' not in page.partition("<body>")[0]
    assert "fetch(" not in page.rpartition("</script>")[0].rpartition("<script>")[2]
    assert answer["to"] == "p"
    widget.close()
    widget.close()


def test_a_run_is_shown_with_its_tuned_model_which_is_removed_at_the_end(
    finished_run: Any, sent: list[Any]
) -> None:
    run = open_run(finished_run.folder, finished_run.figures)
    widget = wb.live_widget(run)
    assert hasattr(run.lm.model, "disable_adapter_layers") or len(_lora(run.lm)) > 0
    ask(widget, kind="session", number=1)
    assert sent[0]["line"]["tuned"] is True
    assert len(sent[0]["line"]["questions"]) == 132
    widget.close()
    assert _lora(run.lm) == []


def test_a_run_or_a_model_is_named(tiny_folder: Path, finished_run: Any, sent: list[Any]) -> None:
    for shown, tuned in ((str(tiny_folder), False), (finished_run.folder, True)):
        widget = wb.live_widget(shown, figures=finished_run.figures.parent, device="cpu")
        ask(widget, kind="session", number=1)
        assert sent[-2]["line"]["tuned"] is tuned
        widget.close()
    with pytest.raises(WorkbenchError):
        wb.live_widget("no-such-model-anywhere", device="cpu")


def test_without_anywidget_the_extra_is_named(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "workbench.live.widget", raising=False)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(WorkbenchError, match=r"confidence-workbench\[widget\]"):
        wb.live_widget(session.lm)


def _lora(lm: LanguageModel) -> list[str]:
    return [name for name, _ in lm.model.named_modules() if "lora" in name]
