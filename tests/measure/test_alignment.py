import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from workbench.errors import WorkbenchError
from workbench.measure import alignment, auroc2, bootstrap, four_cells, shuffled_spearman, spearman

PAIRS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.4, 1.0]), st.sampled_from([0.1, 0.5, 0.9])),
    min_size=2,
    max_size=30,
)


@given(PAIRS)
def test_rho_is_spearmans_with_ties(pairs: list[tuple[float, float]]) -> None:
    a, b = (np.array(column) for column in zip(*pairs, strict=True))
    found = spearman(a, b, seed=0, resamples=2).value
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert np.isnan(found)
    else:
        assert np.isclose(found, spearmanr(a, b).statistic, atol=1e-12)


def test_interval_ranks_anew_in_every_resample() -> None:
    rng = np.random.default_rng(1)
    a = np.round(rng.random(40), 1)
    b = np.round(a + rng.random(40), 1)
    found = spearman(a, b, seed=3, resamples=200)
    expected = bootstrap(lambda x, y: float(spearmanr(x, y).statistic), a, b, seed=3, resamples=200)
    assert np.allclose([found.low, found.high], [expected.low, expected.high], atol=1e-12)


def test_four_cells_by_hand() -> None:
    internal = [0.9, 0.8, 0.2, 0.1, 0.7, np.nan]
    stated = [1.0, 0.4, 1.0, 0.2, 1.0, 1.0]
    found = four_cells(internal, stated, internal_split="median", stated_split="top")
    # The median .7 counts as high; the top step of what is stated is 1.
    assert found == {
        "consistent": 0.4,
        "internal_over": 0.2,
        "external_over": 0.2,
        "discordant": 0.2,
    }
    both = four_cells(internal, stated, internal_split="top", stated_split="median")
    assert both == {
        "consistent": 0.2,
        "internal_over": 0.0,
        "external_over": 0.4,
        "discordant": 0.4,
    }
    assert np.isnan(
        four_cells([np.nan], [1], internal_split="top", stated_split="top")["consistent"]
    )


def test_all_that_is_needed_to_read_rho() -> None:
    rng = np.random.default_rng(2)
    internal = rng.random(50)
    stated = np.where(internal > 0.5, 1.0, 0.6)
    stated[:5] = np.nan
    correct = rng.random(50) < internal
    found = alignment(internal, stated, correct, seed=0, ceiling=1.0, resamples=50)
    assert found.rho.n == 45
    assert found.parse_rate == 0.9
    assert np.isclose(found.ceiling_share, (internal[5:] > 0.5).mean())
    assert np.isclose(found.auroc2_stated.value, auroc2(stated[5:], correct[5:]))
    assert np.isclose(found.auroc2_internal.value, auroc2(internal[5:], correct[5:]))
    assert np.isclose(sum(found.cells.values()), 1)


def test_nothing_in_common() -> None:
    silent = alignment([0.1, 0.9], [np.nan, np.nan], [0, 1], seed=0, ceiling=1.0, resamples=50)
    assert (silent.parse_rate, silent.rho.n, silent.auroc2_internal.n) == (0.0, 0, 0)
    assert np.isnan([silent.ceiling_share, silent.rho.value, silent.auroc2_internal.value]).all()
    found = spearman([np.nan, 1], [1, np.nan], seed=0)
    assert found.n == 0
    assert np.isnan(found.value)
    with pytest.raises(WorkbenchError, match="one value of each"):
        spearman([1, 2], [1], seed=0)


def test_shuffled_pairs_have_no_rho_and_within_domain_only_what_the_domain_gives() -> None:
    rng = np.random.default_rng(4)
    a = rng.integers(0, 5, 120) / 4
    found = shuffled_spearman(a, a, seed=0, shuffles=2000)
    # The null of a rank correlation has standard deviation 1 / sqrt(n - 1), with ties or without.
    assert abs(found.value) < 4 / np.sqrt(119 * 2000)
    assert found.high == pytest.approx(1.96 / np.sqrt(119), rel=0.1)
    assert found.low == pytest.approx(-found.high, rel=0.2)
    # Two domains, in each the first and second confidence unrelated: only the domain's level is
    # shared.
    domain = np.repeat(["easy", "hard"], 60)
    first, second = (rng.random(120) + (domain == "easy") for _ in range(2))
    whole, within = (
        spearman(first, second, seed=0, resamples=2),
        shuffled_spearman(first, second, domain, seed=0),
    )
    assert whole.value == pytest.approx(0.75, abs=0.1)
    assert within.low < whole.value < within.high
    assert shuffled_spearman(first, second, seed=0).high < 0.3


def test_shuffling_within_domain_by_hand() -> None:
    first, second = [1.0, 2.0, 3.0, 4.0, np.nan], [1.0, 2.0, 3.0, 3.0, 9.0]
    domain = ["a", "b", "b", "c", "a"]
    found = shuffled_spearman(first, second, domain, seed=0, shuffles=400)
    # Only the two of "b" can change places, so rho is one of two values.
    values = [spearmanr([1, 2, 3, 4], each).statistic for each in ([1, 2, 3, 3], [1, 3, 2, 3])]
    assert [found.low, found.high] == pytest.approx(sorted(values))
    assert found.value == pytest.approx(np.mean(values), abs=0.05)
    assert np.isnan(shuffled_spearman([1, 2], [3, 3], seed=0).value)
