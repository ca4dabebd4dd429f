from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from workbench.experiments.confidence_alignment.read import EIGHT, FULL, Confidences
from workbench.experiments.league.comparison import RecipeOutcome
from workbench.experiments.recipes.results import RECALIBRATED
from workbench.loop.conditions import BEFORE, Condition
from workbench.questions import Question

N = 60


@pytest.fixture(scope="session")
def planted_confidences() -> Confidences:
    """60 questions of two options, A always right; P_IC decides correctness; EIGHT[0] states its
    rank in twelve steps, EIGHT[1] always the most, EIGHT[2] the opposite of EIGHT[0] in the 45
    replies that can be read.
    """
    rng = np.random.default_rng(0)
    p_ic = rng.permutation(np.linspace(0.5, 0.99, N))
    correct = p_ic > 0.7
    questions = tuple(
        Question(
            f"q{i}",
            f"Which {i}?",
            ("A",),
            "ab"[i % 2],
            "s",
            "l",
            "choice",
            options=(f"x{i}", f"y{i}"),
        )
        for i in range(N)
    )
    letters = np.where(correct, "A", "B")
    internal = pd.DataFrame(
        {
            "row": np.arange(N), "letter": letters, "correct": correct, "p_ic": p_ic, "p_max": p_ic, "mass": 1.0,
            "reply": letters, "reply_letter": letters, "reply_correct": correct,
        }
    )  # fmt: skip
    options = pd.DataFrame(
        {
            "row": np.repeat(np.arange(N), 2),
            "letter": ["A", "B"] * N,
            "probability": np.stack(
                [np.where(correct, p_ic, 1 - p_ic), np.where(correct, 1 - p_ic, p_ic)], 1
            ).ravel(),
            "right": [True, False] * N,
        }
    )
    steps = np.ceil(rankdata(p_ic) / 5) / 12
    unread = np.where(np.arange(N) < 15, np.nan, 1 - steps)
    said = dict(zip(EIGHT[:3], (steps, np.ones(N), unread), strict=True))
    stated = [_lines(each.format, said.get(each, rng.random(N))) for each in (*EIGHT, FULL)]
    return Confidences(
        questions, internal, options, pd.concat(stated, ignore_index=True), "float32"
    )


def _lines(name: str, values: Any) -> pd.DataFrame:
    lines = {
        "row": np.arange(N),
        "format": name,
        "stated": values,
        "expected": np.nan_to_num(values),
        "mass": 0.5,
    }
    return pd.DataFrame(lines).sample(frac=1, random_state=1)


@pytest.fixture
def place(finished_run: Any, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished_run.folder, tmp_path / "runs" / "tiny"))


UNSPOKEN, LOG, LOG_1 = Condition("head"), Condition("log"), Condition("log", seed=1)
PLAYED = (
    BEFORE,
    *RECALIBRATED,
    LOG,
    replace(LOG, recalibration="temperature"),
    replace(LOG, control=True),
    LOG_1,
    replace(LOG_1, recalibration="temperature"),
    UNSPOKEN,
)


@pytest.fixture(scope="session")
def played() -> RecipeOutcome:
    """A recipe with two seeds, a control and a head on 60 questions of three domains, of which
    "metals" was not taught.
    """
    rng = np.random.default_rng(0)
    out = pd.DataFrame(
        {"row": np.arange(60), "domain": np.repeat(["rivers", "kings", "metals"], 20)}
    )
    out["correct"] = rng.random(60) < 0.5
    for one in PLAYED:
        out[f"stated_{one.name}"] = np.nan if one == UNSPOKEN else np.round(rng.random(60), 1)
        out[f"expected_{one.name}"] = rng.random(60)
    for name in ("log", "log-seed1"):
        out[f"right_{name}"] = (rng.random(60) < 0.4).astype(float)
    out.loc[3, "stated_log"] = np.nan
    costs = {"log": 100, "log-seed1": 300, "head": 50}
    summary = {f"training.tokens.{name}": value for name, value in costs.items()}
    summary |= {f"seconds.training.{name}": value / 10 for name, value in costs.items()}
    return RecipeOutcome("doubt", summary, out, PLAYED, ("metals",))
