from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch

from workbench.stream.device_copies import DeviceCopies, to_device


class Stream:
    """Notes what it is told, as the streams of an accelerator."""

    device = "somewhere"

    def __init__(self, said: list[Any]) -> None:
        self.said = said

    def record_event(self) -> str:
        self.said.append("recorded")
        return "event"

    def wait_event(self, event: str) -> None:
        self.said.append(("waits for", event))


class Weight:
    def __init__(self, said: list[Any]) -> None:
        self.said = said

    def record_stream(self, stream: Stream) -> None:
        self.said.append(("used by", stream))


def test_a_processor_copies_plainly() -> None:
    copies, weight = DeviceCopies(torch.device("cpu")), torch.ones(3)
    with copies.aside():
        assert to_device(weight, torch.device("cpu")) is weight
    assert copies.mark() is None
    copies.wait(None, [weight])


def test_computing_waits_for_the_copies_and_keeps_their_memory() -> None:
    said: list[Any] = []
    copies, computing = DeviceCopies(torch.device("cpu")), Stream(said)

    class Module:
        @staticmethod
        def current_stream(device: str) -> Stream:
            assert device == "somewhere"
            return computing

        @staticmethod
        def stream(stream: Stream) -> Any:
            return nullcontext(stream)

    copies._module, copies._stream = Module, Stream(said)
    with copies.aside() as entered:
        assert entered is copies._stream
    copies.wait(copies.mark(), [Weight(said)])  # type: ignore[list-item]
    assert said == ["recorded", ("waits for", "event"), ("used by", computing)]
