from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.precision import only_in
from workbench.api.examples import CircuitPairs
from workbench.api.patching import patch_map
from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.experiments.known_circuits.page import page_of
from workbench.experiments.known_circuits.read import DIRECTIONS, INTO_DONOR, INTO_PROMPT
from workbench.experiments.known_circuits.run import CircuitParameters, run_known_circuits
from workbench.experiments.known_circuits.summary import LEADS
from workbench.experiments.known_circuits.tasks import TASKS
from workbench.loading import load_model
from workbench.report import write_page

SMALL = CircuitParameters(pairs=4, layers=2)


def letters(tokenizer: Any, count: int, seed: int) -> CircuitPairs:
    """Pairs of two letters, each a token, where the tasks' own words are several."""
    drawn = np.random.default_rng(seed).permutation(list("abcdefghij"))
    own, other = drawn[:count], drawn[-count:]
    return CircuitPairs(
        tuple(f"To {a} {b}, {b} gave it to" for a, b in zip(own, other, strict=True)),
        tuple(f"To {a} {b}, {a} gave it to" for a, b in zip(own, other, strict=True)),
        [(str(a), str(b)) for a, b in zip(own, other, strict=True)],
        {
            "giver": ([f", {b}" for b in other], [f", {a}" for a in own]),
            "gave": ([" gave"] * count, [" gave"] * count),
            "last": "last",
        },
    )


@pytest.fixture
def settings(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunConfig]:
    """``settings(precision)`` of a run on the tiny llama; names and capitals are letters there."""
    for name, place in (("indirect_objects", "giver"), ("capitals", "giver")):
        monkeypatch.setitem(TASKS, name, replace(TASKS[name], draw=letters, changed=place))  # type: ignore[arg-type]

    def make(precision: str = "float32") -> RunConfig:
        model = {"name": str(tiny_folder), "device": "cpu", "precision": precision}
        return RunConfig.model_validate({"model": model, "bootstrap_resamples": 100, "seed": 3})

    return make


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_task_is_patched_both_ways_once_and_comes_back_as_it_was(
    settings: Callable[..., RunConfig],
    precision: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with only_in(precision) as watched:
        first = run_known_circuits(settings(precision), tmp_path / "run", SMALL)
    assert watched.models == 1
    assert list(first.tasks) == ["indirect_objects", "capitals", "years"]
    tolerance = 1e-4 if precision == "float32" else 0.3
    for found in first.tasks.values():
        assert len(found.pairs) == 4
        assert list(found.directions) == list(DIRECTIONS)
        assert (found.heads is not None) == (found.task.name == "indirect_objects")
        assert found.precision == precision
        there, back = (found.directions[name] for name in (INTO_PROMPT, INTO_DONOR))
        np.testing.assert_allclose(there.patched.base, back.patched.donor, atol=tolerance)
        for one in (there, back):
            names = [part.name for part in one.patched.conditions]
            assert names == ["donor", "random_vector", "random_position", "own_state"]
            # A run's own states move nothing; the last state of the last layer is all there is.
            assert one.patched.noise_floor < tolerance
            last = one.patched.patched[:, -1, -1]
            np.testing.assert_allclose(last, one.patched.donor, atol=tolerance)
            assert one.estimated.axes == one.patched.axes
            assert -1 <= one.spearman.low <= one.spearman.high <= 1
    for name in ("patch_map", "attribute", "_most_likely"):
        monkeypatch.setattr(f"workbench.experiments.known_circuits.read.{name}", None)
    again = run_known_circuits(settings(precision), tmp_path / "run", SMALL)
    page, before = page_of(again), page_of(first)
    assert page.summary == pytest.approx(before.summary, nan_ok=True)
    assert len(page.sections) == 3 * 7 + 4
    index = write_page(page, tmp_path / "page")
    assert len(pd.read_csv(index.parent / "pairs.csv")) == 3 * 4
    rows = json.loads((index.parent / "known_circuits.json").read_text())["rows"]
    there = again.tasks["years"].directions[INTO_DONOR]
    (crossing,) = (
        row["value"]
        for row in rows
        if (row["section"], row["row"])
        == ("Greater-than years, patched", "prompt into donor, seed 3")
        and row["column"] == LEADS
    )
    assert crossing == pytest.approx(there.crossing.value, nan_ok=True)
    assert len([row for row in rows if row["section"].endswith("unpatched")]) == 3 * 2 * 3
    assert len([row for row in rows if "heads" in row["section"]]) == 5 + 2
    with pytest.raises(WorkbenchError, match="pairs: 4 there, 5 now"):
        run_known_circuits(settings(precision), tmp_path / "run", SMALL.replace({"pairs": 5}))


def test_patched_cells_are_those_of_a_loop_of_hooked_forwards(
    settings: Callable[..., RunConfig], tmp_path: Path
) -> None:
    config = settings()
    found = run_known_circuits(
        config, tmp_path / "run", SMALL.replace({"tasks": "indirect_objects"})
    ).tasks["indirect_objects"]
    lm = load_model(config.model.name, device="cpu", precision="float32")
    pairs = letters(lm.tokenizer, 4, 3)
    for direction, pair in ((INTO_PROMPT, pairs), (INTO_DONOR, pairs.exchanged)):
        one = found.directions[direction].patched
        layers = one.axes[0].labels
        loop = patch_map(
            lm,
            list(pair.prompts),
            list(pair.donors),
            read=pair.read,
            at=pair.at,
            layers=layers,
            controls=False,
            backend="loop",
        )
        assert loop.axes == one.axes
        np.testing.assert_allclose(one.patched, loop.patched, atol=1e-4)
    assert found.heads is not None
    assert found.heads.patched.axes[0].labels == tuple(range(lm.n_layers))


def test_tasks_are_those_there_are_and_pairs_are_enough() -> None:
    with pytest.raises(WorkbenchError, match="tasks"):
        SMALL.replace({"tasks": "sums"})
    with pytest.raises(WorkbenchError, match="pairs"):
        SMALL.replace({"pairs": 3})
