from __future__ import annotations

from workbench.api.grid import make_grid
from workbench.models import LanguageModel
from workbench.trace.sites import Site


def test_axes_multiply_and_the_rest_is_patched_together(tiny_lm: LanguageModel) -> None:
    grid = make_grid(
        tiny_lm,
        ("position", "layer"),
        layers=[3, 1],
        window=1,
        component=("attn_out", "mlp_out"),
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
        tiny_lm, ("layer", "head"), layers="all", window=1, component="heads", places=("last",)
    )
    assert alone.shape == (4, 4)
    assert alone.cells[6].sites == (Site(1, "head_out", 2),)
    whole = make_grid(tiny_lm, ("layer",), layers=2, window=1, component="heads", places=("last",))
    assert whole.cells[0].sites == tuple(Site(2, "head_out", head) for head in range(4))


def test_windows_are_named_by_their_ends(tiny_lm: LanguageModel) -> None:
    grid = make_grid(
        tiny_lm, ("layer",), layers="all", window=3, component="resid_pre", places=("last",)
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
        tiny_lm, ("position",), layers=[0], window=1, component="mlp_out", places=("a",)
    )
    assert one.thin_layers(2) is one
