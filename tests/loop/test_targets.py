from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.recipes.run import MEASURED
from workbench.loop import STAGES
from workbench.loop.run import Run
from workbench.loop.targets import SOURCES, source_named
from workbench.teach.recipes import RECIPES


def test_the_probes_probabilities_come_by_row(context: Run) -> None:
    table = context.stage("probe").table("probabilities").set_index("row")["probability"]
    rows = np.array([7, 3, 100])
    assert source_named("probe").values(context, rows).tolist() == table.loc[rows].tolist()


def test_every_source_of_an_arm_is_there() -> None:
    for recipe in RECIPES.values():
        for arm in recipe.arms:
            assert set(arm.sources) <= set(SOURCES)
    assert {source.stage for source in SOURCES.values()} <= {
        stage.name for stage in (*STAGES, *MEASURED)
    }
    with pytest.raises(WorkbenchError, match="cannot be made from 'probes'; choose among probe"):
        source_named("probes")
