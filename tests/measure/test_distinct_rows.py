import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.measure.distinct_rows import Cells, cells_of, grouped_levels, one_cell_each

COLUMNS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, np.nan]), st.booleans()), min_size=1, max_size=30
)


@given(COLUMNS)
def test_cells_are_the_distinct_rows(rows: list[tuple[float, bool]]) -> None:
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    cells = cells_of(scores, labels)
    assert len(cells) == len({(repr(score), bool(label)) for score, label in rows})
    assert np.array_equal(cells.multiplicity, np.bincount(cells.index))
    assert np.array_equal(scores[cells.first][cells.index], scores, equal_nan=True)
    assert np.array_equal(labels[cells.first][cells.index], labels)


def test_one_cell_each() -> None:
    cells = one_cell_each(3)
    assert (cells.index.tolist(), cells.multiplicity.tolist()) == ([0, 1, 2], [1, 1, 1])


def test_places_and_questions_must_agree() -> None:
    with pytest.raises(ValueError, match="do not fill"):
        Cells(np.array([0, 0]), np.array([0]), np.array([1.0]))


def test_levels_keep_mean_order_and_bin_edges() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random(5000) ** 3
    scores[7] = np.nan
    joined = grouped_levels(scores, 50, 10)
    assert np.isnan(joined[7])
    known = np.delete(scores, 7), np.delete(joined, 7)
    assert len(np.unique(known[1])) <= 60
    assert np.isclose(known[0].mean(), known[1].mean())
    order = np.argsort(known[0])
    assert (np.diff(known[1][order]) >= 0).all()
    assert np.array_equal(np.floor(known[0] * 10), np.floor(known[1] * 10))


def test_few_values_stay_as_they_are() -> None:
    scores = np.array([0.2, 0.2, 0.9])
    assert grouped_levels(scores, 2, 10) is scores
