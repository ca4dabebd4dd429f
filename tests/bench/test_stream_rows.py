from __future__ import annotations

from workbench.bench.stream_rows import table_rows


def test_what_was_measured_stands_beside_its_bound() -> None:
    rows = table_rows(
        {
            "pass.streamed_over_memory": 1.25,
            "pass.streamed_over_memory.low": 1.2,
            "pass.streamed_over_memory.high": 1.4,
            "library.accelerate_over_streamed": 3.5,
        }
    )
    assert [row["bound"] for row in rows] == ["<= 1.3: met", ">= 4: missed"]
    assert rows[0]["turns"] == "1.2 to 1.4"
    assert rows[0]["value"] == "1.25"
