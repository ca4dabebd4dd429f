from __future__ import annotations

import numpy as np
import pytest

from workbench.api.attribution import attribute
from workbench.api.patching import patch_map
from workbench.experiments.known_circuits.tasks import TASK_NAMES, TASKS
from workbench.loading import load_model
from workbench.models import LanguageModel
from workbench.patch.verification import Check

PAIRS = 16
EARLY, LATE = 3, 27


@pytest.fixture(scope="module")
def default_model() -> LanguageModel:
    return load_model("default", device="cpu", precision="float32")


@pytest.mark.integration
@pytest.mark.parametrize("name", TASK_NAMES)
def test_the_answer_stands_where_the_pair_differs_early_and_at_the_last_token_late(
    default_model: LanguageModel, name: str
) -> None:
    """What the literature found, on the default model; attribution points the same way."""
    lm, task = default_model, TASKS[name]
    pairs = task.draw(lm.tokenizer, PAIRS, 0)
    assert len({*zip(pairs.prompts, pairs.donors, strict=True)}) == PAIRS
    prompts, donors = list(pairs.prompts), list(pairs.donors)
    at = {task.changed: pairs.at[task.changed], "last": "last"}
    found = patch_map(
        lm, prompts, donors, read=pairs.read, at=at, layers=(EARLY, LATE), controls=False
    )
    assert found.donor is not None
    assert (found.base > 0).mean() > 0.9
    lines = found.summary(resamples=200).set_index(["layer", "position"])
    assert lines.loc[(EARLY, task.changed), "shift_low"] > 0.8
    assert lines.loc[(LATE, "last"), "shift_low"] > 0.8
    assert lines.loc[(EARLY, "last"), "shift_high"] < 0.2
    assert lines.loc[(LATE, task.changed), "shift_high"] < 0.2
    estimated = attribute(
        lm,
        prompts,
        donors,
        read=pairs.read,
        at=at,
        layers=(EARLY, LATE),
        check=Check(cells=1, resamples=1),
    )
    guess, truth = (
        (part.patched - part.base[:, None, None]).mean(axis=0)
        for part in (estimated, found.conditions[0])
    )
    # [layer, place]: of a difference of logits both; a probability near its bound has no slope.
    cells = [(0, 0)] if callable(pairs.read) else [(0, 0), (1, 1)]
    for cell in cells:
        assert 0.05 < guess[cell] / truth[cell] < 1.5
    if not callable(pairs.read):
        assert np.abs([guess[0, 1], guess[1, 0]]).max() < min(abs(guess[cell]) for cell in cells)
