import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import auroc2, ece, parse_rate
from workbench.measure.inputs import checked_domain


def test_parse_rate_counts_format_failures() -> None:
    assert parse_rate([0.1, np.nan, 0.3, np.nan]) == 0.5
    assert np.isnan(parse_rate([]))


def test_domains_become_codes_in_sorted_order() -> None:
    assert checked_domain(["b", "a", "b"], 3).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        ([0.1, 0.2], [1], "one value of each per question"),
        ([0.1, np.inf], [1, 0], "infinite"),
        ([0.1, 0.2], [1, 2], "0 and 1"),
    ],
)
def test_broken_inputs_name_the_mistake(
    confidence: list[float], correct: list[int], message: str
) -> None:
    with pytest.raises(WorkbenchError, match=message):
        auroc2(confidence, correct)


def test_percentages_are_refused_where_probabilities_are_asked_for() -> None:
    with pytest.raises(WorkbenchError, match="divide percentages by 100"):
        ece([95.0, 20.0], [1, 0])
