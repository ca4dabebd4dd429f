from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.probe.site_rows import bytes_of_rows
from workbench.probe.workers import GRAM_ROWS, Size, each_layer, plan_fits
from workbench.states.layout import Layout
from workbench.states.writer import StatesWriter

FEW = Size(rows=300, layers=6, positions=3, width=64, training_sets=16, problems=64)
MANY = Size(rows=5000, layers=6, positions=3, width=64, training_sets=16, problems=64)


@pytest.fixture(autouse=True)
def four_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)


def test_few_rows_take_gram_matrices_where_they_fit() -> None:
    plan = plan_fits(FEW, 10**10)
    assert (plan.gram, plan.workers, plan.positions) == (True, 4, 3)
    assert plan_fits(FEW, 80_000_000).workers < 4
    assert not plan_fits(FEW, 5_000_000).gram
    assert plan_fits(MANY, 10**10).gram is False
    assert FEW.rows <= GRAM_ROWS < MANY.rows


def test_the_space_of_features_holds_what_the_bound_has_room_for() -> None:
    whole = bytes_of_rows(MANY.rows, MANY.width)
    rich, poor = plan_fits(MANY, 10**10), plan_fits(MANY, 30_000_000)
    assert (rich.workers, rich.problems) == (4, MANY.problems)
    assert rich.rows_bytes >= whole
    assert poor.workers == 1
    assert poor.problems < MANY.problems


def test_a_bound_that_is_too_small_is_refused_and_what_it_names_is_enough() -> None:
    with pytest.raises(WorkbenchError, match=r"memory_bytes = 1000000; give them at least") as told:
        plan_fits(MANY, 1_000_000)
    enough = int(str(told.value).split()[-1].rstrip("."))
    assert plan_fits(MANY, enough).rows_bytes > 0
    with pytest.raises(WorkbenchError):
        plan_fits(MANY, enough - 1_000_000)


def test_layers_come_back_in_order() -> None:
    assert each_layer(lambda layer: layer**2, 7, 3, "squaring") == [n**2 for n in range(7)]


MEASURED = """
import sys, resource
import numpy as np
from pathlib import Path
from workbench.probe import ProbeSettings, fit_layerwise
from workbench.states.recorded import open_states
import torch
torch.set_num_threads(1)
kept = open_states(Path(sys.argv[1]), "")
correct = np.random.default_rng(0).random(len(kept)) < 0.5
def fit(rows, bound):
    settings = ProbeSettings(3, 2, (1e-4, 1e-3), 0, bound)
    return fit_layerwise(kept[rows][:, :1], correct[rows], settings)
fit(np.arange(700), 10**9)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fit(np.arange(len(kept)), int(sys.argv[2]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_fitting_from_shards_stays_within_its_bound(tmp_path) -> None:
    """4,000 rows of 2,048 features are 33 MB in float32 and 66 MB in float64; the bound is 24 MB.
    The process's peak may rise by no more; small fits before it have paid for libraries.
    """
    rows, width, bound = 4000, 2048, 24_000_000
    writer = StatesWriter(tmp_path, Layout(2, ("end",), width, "float16"))
    torch.manual_seed(0)
    for start in range(0, rows, 250):
        writer.write(str(start), range(start, start + 250), torch.randn(250, 2, 1, width))
    found = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path), str(bound)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(found.stdout) <= bound
