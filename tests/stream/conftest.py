from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.streamed import ROOMY, stream_copy
from workbench.models import LanguageModel
from workbench.stream.gates import LayerStream

Streamed = tuple[LanguageModel, LayerStream]


@pytest.fixture
def make_streamed(tmp_path: Path) -> Iterator[Callable[..., Streamed]]:
    """``make_streamed(lm, most_waiting_bytes=..., shard=...)``: the model read from files, and its
    stream, which is closed after the test.
    """
    made: list[LayerStream] = []

    def make(lm: LanguageModel, most_waiting_bytes: int = ROOMY, shard: str = "5GB") -> Streamed:
        folder = tmp_path / f"streamed-{len(made)}"
        streamed, stream = stream_copy(lm, folder, most_waiting_bytes, shard)
        made.append(stream)
        return streamed, stream

    yield make
    for stream in made:
        stream.close()
