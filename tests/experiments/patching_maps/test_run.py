from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.patching_maps.page import page_of
from workbench.experiments.patching_maps.run import PatchingParameters, run_patching_maps
from workbench.patch.verification import compare

SMALL = PatchingParameters(n_questions=4, claim_questions=6, layers=2)
STAGES = {"maps", "attribution", "claim"}


def test_maps_attribution_and_claim_are_read_once_and_come_back_as_they_were(
    finished_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(shutil.copytree(finished_run.folder, tmp_path / "run"))
    first = run_patching_maps(None, place, SMALL, figures=tmp_path / "figures")
    assert list(first.positions) == ["before", "after", "taught"]
    for maps in (first.heads, first.components):
        assert list(maps) == ["before", "after", "taught", "gathering"]
    axes = first.components["taught"].effects.axes
    assert axes[0].labels == ("attn_out", "mlp_out")
    assert (first.items, first.claim_items, first.precision) == (4, 6, "float32")
    # The last layer's state at the number's own place is the donor's whole readout.
    whole = first.positions["taught"].table(resamples=100, seed=0)
    last = whole[
        (whole["layer"] == whole["layer"].max()) & (whole["part"] == "confidence position")
    ]
    np.testing.assert_allclose(last["shift"], 1, atol=1e-3)
    for each in first.verification.agreements:
        assert len(each.sites) == each.scores.shape[1] == each.effects.shape[1]
        assert {site.component for site in each.sites} == {each.component}
        rho, _ = compare(each.scores, each.effects, resamples=200, seed=0)
        assert each.rho == rho
    done = {path.parent.name for path in (place / "patching_maps").rglob("done.json")}
    assert done == STAGES
    assert not list(place.rglob("parts"))
    for name in ("patching_items", "attribute"):
        monkeypatch.setattr(f"workbench.experiments.patching_maps.read.{name}", None)
    again = run_patching_maps(None, place, SMALL, figures=tmp_path / "figures")
    assert again.summary() == pytest.approx(first.summary(), nan_ok=True)
    for kind in ("positions", "heads", "components"):
        for key, found in getattr(again, kind).items():
            before = getattr(first, kind)[key]
            assert found.effects.axes == before.effects.axes
            pd.testing.assert_frame_equal(
                found.table(resamples=100, seed=0), before.table(resamples=100, seed=0)
            )
    assert len(page_of(again).sections) == 3 + 4 + 4 + 1 + 2
    with pytest.raises(WorkbenchError, match="claim_questions: 6 there, 8 now"):
        run_patching_maps(
            None, place, SMALL.replace({"claim_questions": 8}), figures=tmp_path / "figures"
        )
