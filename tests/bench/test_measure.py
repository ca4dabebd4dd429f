from workbench.bench.measure import bench_measure
from workbench.measure.metrics import METRICS


def test_what_is_measured_is_what_is_said() -> None:
    found = bench_measure(2000)
    assert (found["rows.small"], found["rows.large"], found["resamples.paired"]) == (1000, 2000, 10_000)
    for table in ("percent", "continuous"):
        assert found[f"paired.{table}.seconds"] > 0
        assert found[f"paired.{table}.metrics"] == len(METRICS)
        assert found[f"paired.{table}.method"] == "10,000 bootstrap resamples of rows"
        assert found[f"large.{table}.method"] == "2,000 bootstrap resamples of rows"
    assert 1e7 < found["peak_bytes"] < 1e11
