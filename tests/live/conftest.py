"""Sessions of the live bench on tiny models, and requests to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.live.session import Session, open_session

TEXTS = ("What is the 12 of a?", "What is the 34 of a?")


@pytest.fixture(scope="session")
def session(tiny_folder: Path) -> Session:
    """A model alone."""
    with open_session(str(tiny_folder), tiny_folder / "runs", tiny_folder / "figures") as opened:
        return opened


@pytest.fixture(scope="session")
def run_session(finished_run: Any) -> Iterator[Session]:
    """A finished run, with its tuned model."""
    folder = finished_run.folder
    with open_session(
        folder.name, folder.parent, finished_run.figures.parent, device="cpu"
    ) as opened:
        yield opened


def text(content: str, model: str = "base") -> dict[str, Any]:
    """A side that is a text."""
    return {"kind": "text", "text": content, "model": model}


@pytest.fixture(scope="session")
def pair() -> dict[str, Any]:
    """Two texts of equal length that differ in the middle."""
    return {"base": text(TEXTS[0]), "donor": text(TEXTS[1])}


@pytest.fixture(scope="session")
def asked() -> dict[str, Any]:
    """The same question put to the base and the tuned model."""
    side = {"kind": "question", "question": 3}
    return {"base": {**side, "model": "base"}, "donor": {**side, "model": "tuned"}}
