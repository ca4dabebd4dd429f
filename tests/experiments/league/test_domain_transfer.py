from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbench.experiments.league.comparison import RecipeOutcome, compare_recipes, domains_of
from workbench.experiments.league.domain_transfer import SHOWN, domain_sections
from workbench.experiments.recipes.results import PLATT
from workbench.loop.conditions import BEFORE, Condition
from workbench.measure import Bootstrap, auroc2

RNG = np.random.default_rng(1)
DOMAINS = np.repeat(["kings", "rivers"], 20)
KINGS = Condition("soft-kings")
CONDITIONS = (
    BEFORE,
    PLATT,
    Condition("soft"),
    KINGS,
    replace(KINGS, seed=1),
    replace(KINGS, control=True),
)


def held_out() -> pd.DataFrame:
    table = pd.DataFrame({"row": np.arange(40), "domain": DOMAINS, "correct": RNG.random(40) < 0.5})
    columns = {
        f"{readout}_{name.name}": RNG.random(40)
        for name in CONDITIONS
        for readout in ("stated", "expected")
    }
    return table.assign(**columns)


def test_every_arm_stands_on_every_domain_and_its_own_is_framed() -> None:
    table = held_out()
    rows = compare_recipes(
        [RecipeOutcome("probe", {}, table, CONDITIONS, ())], Bootstrap(30, 0), domains_of
    )
    found = {
        section.title: section.figure
        for section in domain_sections(rows, {"soft-kings": "kings"}, "c")
    }
    assert list(found) == list(SHOWN)
    figure = found["AUROC2 expected within"]
    (cells,) = figure.data
    assert list(figure.layout.yaxis.ticktext) == [
        "before",
        "platt",
        "soft",
        "soft-kings",
        "soft-kings-control",
    ]
    assert list(figure.layout.xaxis.ticktext) == ["kings", "rivers"]
    rivers = table[DOMAINS == "rivers"]
    each = [
        auroc2(rivers[f"expected_{name}"], rivers["correct"])
        for name in ("soft-kings", "soft-kings-seed1")
    ]
    assert cells.z[3][1] == pytest.approx(np.mean(each))
    (frame,) = figure.layout.shapes
    assert (frame.x0, frame.y0) == (-0.5, 2.5)
    gains = found["gain AUROC2 expected within"]
    assert list(gains.layout.yaxis.ticktext) == [
        "platt",
        "soft",
        "soft-kings",
        "soft-kings-control",
    ]
    assert gains.data[0].zmin == -gains.data[0].zmax
