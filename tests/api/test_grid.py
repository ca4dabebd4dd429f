from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from workbench.api.grid import PARTS, make_grid
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.sites import Site

MakeTiny = Callable[..., LanguageModel]


def test_axes_multiply_and_the_rest_is_patched_together(tiny_lm: LanguageModel) -> None:
    grid = make_grid(
        tiny_lm,
        ("position", "layer"),
        layers=[3, 1],
        window=1,
        component=("attn_out", "mlp_out"),
        neuron_window=1,
        places=("a", "b"),
    )
    assert [(axis.name, axis.labels) for axis in grid.axes] == [
        ("position", ("a", "b")),
        ("layer", (1, 3)),
    ]
    assert [cell.places for cell in grid.cells] == [(0,), (0,), (1,), (1,)]
    assert grid.cells[1].sites == (Site(3, "attn_out"), Site(3, "mlp_out"))
    assert grid.shape == (2, 2)
    assert len(grid.sites) == 4


def test_heads_are_one_by_one_or_all_of_a_layer(tiny_lm: LanguageModel) -> None:
    alone = make_grid(
        tiny_lm,
        ("layer", "head"),
        layers="all",
        window=1,
        component="heads",
        neuron_window=1,
        places=("last",),
    )
    assert alone.shape == (4, 4)
    assert alone.cells[6].sites == (Site(1, "head_out", 2),)
    whole = make_grid(
        tiny_lm,
        ("layer",),
        layers=2,
        window=1,
        component="heads",
        neuron_window=1,
        places=("last",),
    )
    assert whole.cells[0].sites == tuple(Site(2, "head_out", head) for head in range(4))


def test_windows_are_named_by_their_ends(tiny_lm: LanguageModel) -> None:
    grid = make_grid(
        tiny_lm,
        ("layer",),
        layers="all",
        window=3,
        component="resid_pre",
        neuron_window=1,
        places=("last",),
    )
    assert grid.axes[0].labels == ("0–2", "1–3")
    assert [site.layer for site in grid.cells[1].sites] == [1, 2, 3]


def test_a_thinned_grid_keeps_whole_layers(tiny_lm: LanguageModel) -> None:
    grid = make_grid(
        tiny_lm,
        ("position", "layer", "component"),
        layers="all",
        window=1,
        component=("attn_out", "mlp_out"),
        neuron_window=1,
        places=("a", "b"),
    )
    few = grid.thin_layers(2)
    assert few.axes[1].labels == (0, 3)
    assert few.shape == (2, 2, 2)
    assert [(cell.places[0], cell.sites[0]) for cell in few.cells] == [
        (place, Site(layer, part))
        for place in (0, 1)
        for layer in (0, 3)
        for part in ("attn_out", "mlp_out")
    ]
    one = make_grid(
        tiny_lm,
        ("position",),
        layers=[0],
        window=1,
        component="mlp_out",
        neuron_window=1,
        places=("a",),
    )
    assert one.thin_layers(2) is one


def test_queries_count_query_heads_and_keys_count_their_own(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    assert (lm.n_heads, lm.n_key_value_heads) == (4, 2)
    for part, heads in (("queries", 4), ("keys", 2), ("values", 2)):
        grid = make_grid(
            lm, ("head", "layer"), layers="all", window=1, component=part, neuron_window=1,
            places=("last",),
        )  # fmt: skip
        assert grid.shape == (heads, 4)
        assert grid.cells[5].sites == (Site(1, PARTS[part], 1),)


def test_windows_of_neurons_lie_end_to_end(tiny_lm: LanguageModel) -> None:
    """64 neurons in windows of 24: two whole ones and what is left."""
    assert tiny_lm.mlp_width == 64
    grid = make_grid(
        tiny_lm, ("layer", "neuron"), layers=[1], window=1, component="neurons", neuron_window=24,
        places=("last",),
    )  # fmt: skip
    assert grid.axes[1].labels == ("0–23", "24–47", "48–63")
    assert grid.cells[2].sites == (Site(1, "neuron", 48, 16),)
    whole = make_grid(
        tiny_lm, ("layer",), layers=[1], window=1, component="neurons", neuron_window=1,
        places=("last",),
    )  # fmt: skip
    assert whole.cells[0].sites == (Site(1, "neuron", 0, 64),)


@pytest.mark.parametrize(
    ("over", "component", "size", "message"),
    [
        (("layer", "head"), "mlp_out", 1, "one of heads, queries, keys, values alone"),
        (("layer", "neuron"), ("neurons", "heads"), 1, "neurons alone"),
        (("layer", "neuron"), "neurons", 65, "holds 1 to 64 of them, not 65"),
        (("layer",), "neurons", 4, "neuron_window needs 'neuron'"),
    ],
)
def test_slices_that_do_not_fit_are_refused(
    tiny_lm: LanguageModel, over: tuple[str, ...], component: Any, size: int, message: str
) -> None:
    with pytest.raises(WorkbenchError, match=message):
        make_grid(
            tiny_lm, over, layers="all", window=1, component=component, neuron_window=size,
            places=("last",),
        )  # fmt: skip
