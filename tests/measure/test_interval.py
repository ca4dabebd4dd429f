import pytest

from workbench.measure import Estimate


def test_entries_of_the_summary() -> None:
    assert Estimate(0.5, 0.4, 0.7, 10).to_dict("auroc2.text") == {
        "auroc2.text": 0.5,
        "auroc2.text.low": 0.4,
        "auroc2.text.high": 0.7,
    }


def test_an_interval_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValueError, match="wrong way round"):
        Estimate(0.5, 0.7, 0.4, 10)
