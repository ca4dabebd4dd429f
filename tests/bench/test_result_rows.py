from __future__ import annotations

from workbench.bench.result_rows import Line, mebibytes, spread_of


def test_a_bound_is_met_on_its_own_side() -> None:
    assert Line("k", "w").met(3.0) == ""
    assert Line("k", "w", 1.3).met(1.3) == "<= 1.3: met"
    assert Line("k", "w", 1.3).met(1.31) == "<= 1.3: missed"
    assert Line("k", "w", 20, at_most=False).met(19.0) == ">= 20: missed"
    assert Line("k", "w", 20, at_most=False).met(20.0) == ">= 20: met"


def test_spreads_and_sizes() -> None:
    assert spread_of("k", {"k": 1.5, "k.low": 1.23456, "k.high": 2}) == "1.23 to 2"
    assert spread_of("k", {"k": 1.5}) == ""
    assert mebibytes(3 * 2**20) == "3.0 MiB"
    assert mebibytes(None) == "not measured on this device"
