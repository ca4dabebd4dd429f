from __future__ import annotations

from typing import Any

import pytest

from workbench.report.summary_keys import SUMMARY_KEYS, meaning


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        ("auroc2.stated.before", "auroc2.<readout>.<condition>"),
        ("auroc2.stated.within.log-seed1", "auroc2.<readout>.within.<condition>"),
        ("auroc2.probe.shuffled_labels.low", "auroc2.probe.shuffled_labels"),
        ("gain.ece.expected.log", "gain.<measure>"),
        ("out_of_domain.auroc2.stated.log", "<part>.<measure>"),
        ("patching.shift.last_layer.high", "patching.shift.last_layer"),
        ("patching.shift.random_vector", "patching.shift.<control>"),
    ],
)
def test_a_key_fits_the_pattern_that_names_most_of_it(key: str, pattern: str) -> None:
    assert meaning(key) == SUMMARY_KEYS[pattern]


def test_what_no_row_describes_has_no_meaning() -> None:
    assert meaning("auroc2.text.before") is None


def test_every_key_of_a_run_is_described(finished_run: Any) -> None:
    assert [key for key in finished_run.summary if meaning(key) is None] == []
