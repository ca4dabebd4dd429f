from __future__ import annotations

import numpy as np
import pytest

from workbench.api.results import PatchMap, Readings, Sweep
from workbench.errors import WorkbenchError
from workbench.patch.effect_map import Axis

LAYERS = Axis("layer", (0, 1))
TOKENS = Axis("position", ("0 The", "1 <b>"))


def readings(name: str = "donor", role: str = "effect", scale: float = 1.0) -> Readings:
    base, donor = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 7.0])
    patched = base[:, None] + scale * np.array([[0.0, 2.0], [1.0, 0.0], [-1.0, 4.0]])
    return Readings(name, role, (LAYERS,), base, donor, patched)  # type: ignore[arg-type]


def test_effects_and_shifts_by_hand() -> None:
    found = Sweep("r", "w", (readings(),)).summary(resamples=500)
    assert found["condition"].tolist() == ["donor", "donor"]
    assert found["layer"].tolist() == [0, 1]
    assert found["effect"].tolist() == [0.0, 2.0]
    # Means of donor - base: (2 + 0 + 4) / 3 = 2.
    assert found["shift"].tolist() == [0.0, 1.0]
    assert found["prompts"].tolist() == [3, 3]
    assert found["effect_low"][0] == pytest.approx(-1.0)
    assert found["effect_high"][0] == pytest.approx(1.0)
    assert found["effect_low"][1] == pytest.approx(0.0)
    assert found["effect_high"][1] == pytest.approx(4.0)
    assert (found["shift_low"] <= found["shift"]).all()


def test_a_single_pair_has_no_interval_and_a_like_donor_no_shift() -> None:
    one = Readings("donor", "effect", (LAYERS,), np.ones(1), np.ones(1), np.array([[2.0, 0.0]]))
    found = Sweep("r", "w", (one,)).summary()
    assert found["effect"].tolist() == [1.0, -1.0]
    assert found[["shift", "effect_low", "effect_high", "shift_low"]].isna().all(axis=None)


def test_the_table_has_a_line_a_prompt_and_cell() -> None:
    floor = readings("own_state", "floor", 1e-3)
    found = PatchMap("r", "w", (readings(), floor))
    table = found.table()
    assert len(table) == 2 * 3 * 2
    line = table.query("condition == 'donor' and prompt == 2 and layer == 1")
    assert line[["base", "donor", "patched"]].to_numpy().tolist() == [[3.0, 7.0, 7.0]]
    assert found.noise_floor == pytest.approx(4e-3)
    assert found.condition("own_state") is floor
    with pytest.raises(WorkbenchError, match="no condition 'x'; there are donor, own_state"):
        found.condition("x")


def test_a_curve_shows_readings_and_controls() -> None:
    found = Sweep("logit <difference>", "w", (readings(), readings("random_vector", "control")))
    figure = found.figure()
    traces = {trace.name: trace for trace in figure.data}
    assert {"unpatched", "donor's own run", "donor", "random vector"} <= set(traces)
    assert list(traces["donor"].y) == [2.0, 4.0]
    assert list(traces["unpatched"].y) == [2.0, 2.0]
    assert figure.layout.yaxis.title.text == "logit &lt;difference&gt;"
    assert "random_vector" in found._repr_html_()


def test_a_map_has_layers_upright_and_tokens_as_text() -> None:
    base, donor = np.zeros(2), np.ones(2)
    patched = np.stack([np.arange(4.0).reshape(2, 2)] * 2)
    for axes, cells in (((LAYERS, TOKENS), patched), ((TOKENS, LAYERS), patched.swapaxes(1, 2))):
        found = PatchMap("r", "w", (Readings("donor", "effect", axes, base, donor, cells),))
        figure = found.figure()
        assert figure.data[0].z.tolist() == [[0.0, 1.0], [2.0, 3.0]]
        assert list(figure.layout.xaxis.ticktext) == ["0 The", "1 &lt;b&gt;"]
        assert list(figure.layout.yaxis.ticktext) == ["0", "1"]
        assert figure.layout.yaxis.title.text == "patched decoder layer"


def test_three_axes_have_no_figure_but_a_table() -> None:
    axes = (LAYERS, TOKENS, Axis("head", (0,)))
    part = Readings("donor", "effect", axes, np.zeros(1), None, np.ones((1, 2, 2, 1)))
    found = PatchMap("r", "w", (part,))
    with pytest.raises(WorkbenchError, match="A figure shows two axes"):
        found.figure()
    assert found._repr_html_().startswith("<details open>")
    assert len(found.table()) == 4


def test_readings_have_the_shape_of_their_axes() -> None:
    with pytest.raises(WorkbenchError, match="Readings must be"):
        Readings("donor", "effect", (LAYERS,), np.zeros(2), None, np.zeros((2, 3)))
