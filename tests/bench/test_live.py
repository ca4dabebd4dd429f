"""Times of the live bench come in the order in which a person sees things."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.bench import live


def test_what_is_shown_first_is_measured_as_earlier(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "READ", {"kind": "texts", "first": "1", "second": "2"})
    found = live.bench_live(str(tiny_folder), repeats=1)
    assert 0 < found["live.estimates"] < found["live.first_cells"] < found["live.grid"]
    assert found["live.click.early"] <= found["live.click.early_controls"]
    assert found["live.layers"] == 4
    rows = live.table_rows(found)
    assert [row["bound"] for row in rows if row["bound"]] == ["0.5", "0.5", "1.5", "15"]
    assert rows[-1]["forwards"] == "1.0"
