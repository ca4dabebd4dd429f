from __future__ import annotations

from workbench.report.summary_table import Summary


def test_rows_stand_in_groups_with_their_intervals() -> None:
    summary = Summary({"auroc2.text": 0.5, "auroc2.text.low": 0.25, "auroc2.text.high": 0.75})
    summary["model <b>"] = "tiny & small"
    page = summary._repr_html_()
    assert page.count("<tr>") == 5
    assert "<td>0.500</td><td>0.250 to 0.750</td>" in page
    assert "tiny &amp; small" in page
    assert "<b>" not in page
    assert summary == {**summary}
