import pytest

from workbench.bench import measure
from workbench.measure.metrics import PAIRED


def test_what_is_measured_is_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (measure.SMALL, measure.PAIRED_RESAMPLES) == (1000, 10_000)
    monkeypatch.setattr(measure, "PAIRED_RESAMPLES", 100)
    found = measure.bench_measure(2000)
    assert (found["rows.small"], found["rows.large"], found["resamples.paired"]) == (
        1000,
        2000,
        100,
    )
    for table in ("percent", "continuous"):
        assert found[f"paired.{table}.seconds"] > 0
        assert found[f"large.{table}.cpu_seconds"] > 0
        assert found[f"paired.{table}.metrics"] == len(PAIRED)
        assert found[f"paired.{table}.method"] == "100 bootstrap resamples of rows"
        assert found[f"large.{table}.method"] == "2,000 bootstrap resamples of rows"
    assert 1e7 < found["peak_bytes"] < 1e11
