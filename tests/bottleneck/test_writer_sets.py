from __future__ import annotations

import numpy as np

from workbench.bottleneck.writer_sets import largest_writers, random_sets
from workbench.trace.sites import Site

WRITERS = (
    *(Site(layer, "head_out", head) for layer in range(1, 13) for head in range(3)),
    *(Site(layer, "mlp_out") for layer in range(1, 13)),
)


def test_the_largest_come_first_and_ties_in_order() -> None:
    assert largest_writers(np.array([0.1, 3.0, -9.0, 3.0, 2.0]), 3) == (1, 3, 4)


def test_random_sets_have_the_same_kinds_and_like_layers_and_none_of_the_chosen() -> None:
    chosen = (
        WRITERS.index(Site(5, "head_out", 0)),
        WRITERS.index(Site(5, "head_out", 1)),
        WRITERS.index(Site(11, "mlp_out")),
    )
    drawn = random_sets(WRITERS, chosen, 200, np.random.default_rng(0))
    assert len({*drawn}) > 100
    for one in drawn:
        assert len({*one}) == 3
        assert not {*one} & {*chosen}
        for index, like in zip(one, chosen, strict=True):
            assert WRITERS[index].component == WRITERS[like].component
            assert abs(WRITERS[index].layer - WRITERS[like].layer) <= 2
    assert {WRITERS[one[2]].layer for one in drawn} == {9, 10, 12}


def test_where_others_are_few_the_nearest_and_then_the_chosen_serve() -> None:
    mlps = tuple(index for index, site in enumerate(WRITERS) if site.component == "mlp_out")
    most = mlps[:11]
    for one in random_sets(WRITERS, most, 20, np.random.default_rng(0)):
        assert len({*one}) == 11
        assert one[0] == mlps[11]
        assert {*one} <= {*mlps}
