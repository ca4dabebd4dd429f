import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots import ConfidenceHistogram
from workbench.plots.confidence_histogram import shares_by_bin


def test_bins_of_five_and_a_hundred_alone() -> None:
    shares, counts, unparsed = shares_by_bin(
        np.array([0, 4.9, 5, 94, 95, 99.9, 100, 100, np.nan, np.nan])
    )
    expected = np.zeros(21)
    expected[[0, 1, 18, 19, 20]] = [2, 1, 1, 2, 2]
    assert counts.tolist() == expected.tolist()
    assert np.allclose(shares, expected / 10)
    assert np.isclose(unparsed, 0.2)


def test_bars_are_shares_of_all_replies() -> None:
    figure = ConfidenceHistogram(
        groups={"before": np.array([100, 100, 95, np.nan]), "<script>x</script>": np.array([50.0])},
        title="t",
        caption="c",
    ).figure()
    before, other = figure.data
    assert before.x[-1] == "100"
    assert before.y.tolist()[-2:] == [25.0, 50.0]
    assert before.name == "before (25.0 % unparsed)"
    assert list(before.customdata[-1]) == ["exactly 100", 2]
    assert other.y[10] == 100.0
    assert other.name == "&lt;script&gt;x&lt;/script&gt; (0.0 % unparsed)"


def test_mistakes_are_named() -> None:
    with pytest.raises(WorkbenchError, match="at least one group"):
        ConfidenceHistogram(groups={}, title="t", caption="c")
    with pytest.raises(WorkbenchError, match="outside 0-100"):
        ConfidenceHistogram(groups={"a": np.array([101.0])}, title="t", caption="c")
