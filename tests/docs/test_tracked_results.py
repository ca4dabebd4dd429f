from __future__ import annotations

import json
from pathlib import Path

import pytest

TRACKED = sorted((Path(__file__).parents[2] / "docs" / "results" / "data").glob("*.json"))
WRITTEN = {"title", "command", "commit", "machine", "note", "settings", "rows", "brackets"}


@pytest.mark.parametrize("path", TRACKED, ids=lambda path: path.stem)
def test_tracked_numbers_have_the_form_that_is_written(path: Path) -> None:
    """No keys that no code writes, and no numbers as text."""
    kept = json.loads(path.read_text())
    assert set(kept) <= WRITTEN
    for line in kept["rows"]:
        bounds = [line[name] for name in ("value", "low", "high")]
        assert all(bound is None or isinstance(bound, int | float) for bound in bounds)
        assert not [text for text in line.values() if isinstance(text, str) and "[" in text]
