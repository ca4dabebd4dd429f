from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test

from workbench.errors import WorkbenchError
from workbench.patch.effect_map import Axis, EffectMap, effect_table, noise_floor, sign_flip_p

AXES = (Axis("layer", (0, 5)), Axis("position", ("question", "answer", "end")))


def planted(items: int = 12, seed: int = 0) -> EffectMap:
    """Cell (5, end) moves all the way, (0, end) half, the others by noise around zero."""
    rng = np.random.default_rng(seed)
    base, donor = rng.uniform(0, 0.3, size=items), rng.uniform(0.6, 1, size=items)
    share = np.array([[0, 0, 0.5], [0, 0, 1]])
    patched = base[:, None, None] + (donor - base)[:, None, None] * share
    return EffectMap(AXES, base, donor, patched + 0.02 * rng.normal(size=patched.shape))


def test_a_tidy_table_with_the_axes_names() -> None:
    effects = planted()
    table = effect_table(effects, resamples=200, permutations=5000, seed=0)
    assert list(table.columns[:2]) == ["layer", "position"]
    assert table[["layer", "position"]].to_numpy().tolist() == [
        [a, b] for a in AXES[0].labels for b in AXES[1].labels
    ]
    cell = table[(table.layer == 5) & (table.position == "end")].iloc[0]
    moved = effects.patched[:, 1, 2] - effects.base
    assert cell["shift"] == pytest.approx(moved.mean() / (effects.donor - effects.base).mean())
    assert cell["moved"] == pytest.approx(moved.mean())
    assert cell["low"] <= cell["shift"] <= cell["high"]
    assert cell["items"] == 12
    large = table["p_any"] < 0.01
    assert large.tolist() == [False, False, True, False, False, True]
    assert (table["q"] >= table["p"]).all()
    assert (table["p_any"] >= table["p"] - 1e-12).all()


def test_p_is_that_of_scipys_exact_test() -> None:
    moved = np.random.default_rng(1).normal(0.3, 1, size=(8, 3))
    p, _ = sign_flip_p(moved, permutations=10_000, seed=0)
    for cell in range(3):
        exact = permutation_test(
            (moved[:, cell],),
            np.mean,
            permutation_type="samples",
            n_resamples=np.inf,
            alternative="two-sided",
        ).pvalue
        assert p[cell] == pytest.approx(exact)


def test_drawn_flips_come_near_all_flips() -> None:
    moved = np.random.default_rng(2).normal(0.5, 1, size=(10, 2))
    exact, exact_any = sign_flip_p(moved, permutations=1024, seed=0)
    drawn, drawn_any = sign_flip_p(moved, permutations=1023, seed=0)
    many, many_any = (
        np.mean(v, axis=0)
        for v in zip(
            *(sign_flip_p(moved, permutations=1000, seed=s) for s in range(20)), strict=True
        )
    )
    assert many == pytest.approx(exact, abs=0.01)
    assert many_any == pytest.approx(exact_any, abs=0.01)
    assert (drawn > 0).all()
    assert (drawn_any >= drawn).all()


def test_the_correction_by_the_largest_statistic_holds_its_level() -> None:
    """Of 200 maps of 30 cells in which nothing happens, about one in twenty has a cell below
    .05.
    """
    rng = np.random.default_rng(3)
    false = [
        (sign_flip_p(rng.normal(size=(9, 30)), permutations=512, seed=s)[1] < 0.05).any()
        for s in range(200)
    ]
    assert 0.01 < np.mean(false) < 0.1


def test_equal_cells_pay_nothing_for_their_number() -> None:
    moved = np.tile(np.random.default_rng(4).normal(0.6, 1, size=(9, 1)), (1, 50))
    p, p_any = sign_flip_p(moved, permutations=512, seed=0)
    assert p_any == pytest.approx(p)


def test_cells_in_which_nothing_moves_have_one() -> None:
    moved = np.stack([np.zeros(8), np.ones(8)], axis=1)
    p, p_any = sign_flip_p(moved, permutations=1000, seed=0)
    assert p.tolist() == [1, 2 / 256]
    assert p_any.tolist() == [1, 2 / 256]


def test_moves_within_the_noise_count_as_none() -> None:
    effects = planted()
    own = EffectMap(
        AXES, effects.base, effects.donor, effects.base[:, None, None] + np.full((12, 2, 3), 1e-3)
    )
    assert noise_floor(own) == pytest.approx(1e-3)
    table = effect_table(own, resamples=20, permutations=5000, seed=0, noise=noise_floor(own))
    assert (table["p"] == 1).all()
    without = effect_table(own, resamples=20, permutations=5000, seed=0)
    assert (without["p"] < 0.01).all()
    assert isinstance(table, pd.DataFrame)


def test_a_map_checks_itself() -> None:
    effects = planted()
    with pytest.raises(
        WorkbenchError, match=r"readouts \[items, \*axes\] = \(12, 2\), got \(12, 2, 3\)"
    ):
        EffectMap(AXES[:1], effects.base, effects.donor, effects.patched)
    with pytest.raises(WorkbenchError, match="name of its own"):
        EffectMap((AXES[0], Axis("layer", (0, 1, 2))), effects.base, effects.donor, effects.patched)
    with pytest.raises(WorkbenchError, match="at least two items"):
        sign_flip_p(np.ones((1, 2)), permutations=10, seed=0)
