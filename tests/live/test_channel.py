"""Messages of a notebook are answered line by line, by number, and end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import workbench as wb
from workbench.live.channel import Channel
from workbench.live.requests import MOST_BYTES
from workbench.live.session import Session

READ = {"kind": "texts", "first": "1", "second": "2"}


def message(number: int, view: dict[str, Any], page: str = "p") -> dict[str, Any]:
    return {"kind": "view", "from": page, "number": number, "view": view}


def grid(pair: dict[str, Any]) -> dict[str, Any]:
    return {"view": "grid", "pair": pair, "read": READ, "positions": [8, 9]}


def kinds(sent: list[dict[str, Any]], number: int) -> list[str]:
    return [each["line"]["kind"] for each in sent if each["number"] == number]


def test_a_view_by_message_is_the_library_s_number(session: Session, pair: dict[str, Any]) -> None:
    sent: list[dict[str, Any]] = []
    channel = Channel(session, sent.append)
    channel.receive(message(7, {"view": "curve", "pair": pair, "read": READ, "position": 9}))
    assert {(each["to"], each["number"]) for each in sent} == {("p", 7)}
    *_, last, end = [each["line"] for each in sent]
    assert end == {"kind": "end"}
    found = wb.sweep(session.lm, pair["base"]["text"], pair["donor"]["text"], read=("1", "2"), at=9)
    assert last["value"] == pytest.approx(found.patched[0].tolist(), abs=1e-6)
    channel.receive({"kind": "session", "from": "p", "number": 8})
    assert sent[-2]["line"]["layers"] == session.lm.n_layers


@pytest.mark.parametrize(
    "view", [None, 3, {"view": "spell"}, {"view": "tokens"}, {"x": "a" * MOST_BYTES}, {"x": {1, 2}}]
)
def test_a_mistake_is_an_answer(session: Session, view: Any) -> None:
    sent: list[dict[str, Any]] = []
    Channel(session, sent.append).receive(message(1, view))
    assert kinds(sent, 1) == ["error", "end"]


def test_messages_of_no_number_or_kind_are_nothing(session: Session) -> None:
    sent: list[dict[str, Any]] = []
    channel = Channel(session, sent.append)
    for odd in ({}, {"kind": "view"}, {"kind": "spell", "number": 1}, {"number": "1"}):
        channel.receive(odd)
    assert sent == []


def test_newer_views_and_stops_end_older_ones_between_lines(
    session: Session, pair: dict[str, Any]
) -> None:
    """In a running loop, as a notebook's; another page's view goes on."""
    sent: list[dict[str, Any]] = []
    channel = Channel(session, sent.append)

    async def ask() -> None:
        channel.receive(message(1, grid(pair)))
        channel.receive(message(1, grid(pair), page="other"))
        channel.receive(message(2, grid(pair)))
        while not any(each["number"] == 2 for each in sent):
            await asyncio.sleep(0.01)
        assert channel.busy
        channel.receive({"kind": "stop", "from": "p", "number": 2})
        while channel.busy:
            await asyncio.sleep(0.01)

    asyncio.run(ask())
    mine = [each for each in sent if each["to"] == "p"]
    assert kinds(mine, 1) == ["cancelled", "end"]
    assert kinds(mine, 2)[-2:] == ["cancelled", "end"]
    assert "grid" not in kinds(mine, 2)
    assert kinds([each for each in sent if each["to"] == "other"], 1)[-2:] == ["grid", "end"]


def test_a_closed_channel_says_nothing_more(session: Session, pair: dict[str, Any]) -> None:
    sent: list[dict[str, Any]] = []
    channel = Channel(session, sent.append)

    async def ask() -> None:
        channel.receive(message(1, grid(pair)))
        while not sent:
            await asyncio.sleep(0.01)
        channel.close()
        await asyncio.sleep(0.05)
        assert not channel.busy

    asyncio.run(ask())
    count = len(sent)
    assert "end" not in kinds(sent, 1)
    channel.receive(message(2, grid(pair)))
    assert len(sent) == count
