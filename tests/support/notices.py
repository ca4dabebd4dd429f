"""A reporter that keeps what a person is told, and nothing of the progress."""

from __future__ import annotations


class Notices:
    """Keeps the sentences told, in their order, as ``told``."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self, description: str, total: float | None) -> int:
        return 0

    def advance(self, task: int, amount: float) -> None: ...

    def finish(self, task: int) -> None: ...

    def begin_stage(self, name: str) -> None: ...

    def end_stage(self, name: str, seconds: float, done: bool) -> None: ...

    def notice(self, text: str) -> None:
        self.told.append(text)
