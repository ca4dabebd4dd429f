"""Which stage of which run each line is read from, on verdicts planted there; the numbers
themselves are test_ablations'.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.settings import written
from workbench.experiments.calibration import measurements as ablation_lines
from workbench.experiments.calibration.measurements import (
    Judge,
    form_lines,
    label_lines,
    other_lines,
    pull_lines,
    swapped_lines,
    unanswerable_lines,
)
from workbench.experiments.calibration.metrics import AUROC2, MEAN, JudgedAnswers
from workbench.experiments.recipes.trainings import Training, trainings
from workbench.measure import Bootstrap
from workbench.pipeline.store import ROW
from workbench.teach.recipes import CALIBRATION

DRAW = Bootstrap(20, 0)
ARMS = ("head-25-percent", "lora-prompt", "head", "lora-prompt-50-percent")
LABELS = dict(zip(ARMS, (10, 40, 41, 20), strict=True))


@dataclass
class Run:
    """A run as far as lines see it: its name, what its stages read, and how many examples each
    training was taught.
    """

    name: str
    read: dict[str, JudgedAnswers]
    taught: dict[str, int] = field(default_factory=dict)

    @property
    def store(self) -> Any:
        return SimpleNamespace(folder=Path(self.name))

    def stage(self, name: str) -> Any:
        return SimpleNamespace(facts=lambda: {"examples": self.taught[name]})


def judged(
    skill: float, shift: int = 0, some_unanswerable: bool = False, n: int = 40
) -> JudgedAnswers:
    """Every second answer is right; ``skill`` of the pairs are in order, which is its AUROC2.
    ``some_unanswerable``: every third.
    """
    correct = np.arange(n) % 2 == 0
    ordered = np.arange(n) // 2 < skill * n / 2
    able = np.arange(n) % 3 != 0 if some_unanswerable else np.full(n, True)
    return JudgedAnswers(
        id=np.array([f"q{i + shift}" for i in range(n)]),
        domain=np.array(["a"] * n),
        correct=correct & able,
        answerable=able,
        probability=np.where(ordered == correct, 0.9, 0.1),
        tempered=np.full(n, 0.5),
    )


@pytest.fixture
def taught() -> list[Training]:
    return trainings(
        written(), CALIBRATION, [CALIBRATION.arm(arm) for arm in ARMS], 1, False, controls=False
    )


@pytest.fixture
def home(taught: list[Training]) -> Any:
    read = {
        training.stage("elicit"): judged(share / 4)
        for share, training in enumerate(taught, start=1)
    }
    return Run(
        "home", {"elicit": judged(0), **read}, {p.stage("teach"): LABELS[p.name] for p in taught}
    )


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, list[int]]]:
    """Reads what was planted; gives every temperature asked for: run, stage and rows."""
    asked: list[tuple[str, str, list[int]]] = []

    def temperature(run: Run, stage: str, rows: Any) -> Any:
        asked.append((run.name, stage, list(rows)))
        return lambda p: p

    table = pd.DataFrame({ROW: range(4), "split": ["train", "test", "train", "test"]})
    monkeypatch.setattr(ablation_lines, "verdicts", lambda run, stage, temper: run.read[stage])
    monkeypatch.setattr(ablation_lines, "fitted_temperature", temperature)
    monkeypatch.setattr(ablation_lines, "kept_back", lambda run, training: np.array([2]))
    monkeypatch.setattr(ablation_lines, "load_questions", lambda run: (table, []))
    return asked


def away_from(taught: list[Training], skill: float, **more: Any) -> Any:
    transferred_adapters = {
        f"transferred/home/{training.stage('elicit')}": judged(skill, **more) for training in taught
    }
    return Run("away", {"elicit": judged(0.5, **more), **transferred_adapters})


def values(lines: Any, measure: str = AUROC2) -> dict[tuple[str, str], float]:
    return {
        (line.judge, line.condition): line.estimate.value
        for line in lines
        if line.measure == measure
    }


def test_labels_are_curves_with_the_base_model_first(home: Any, taught: list[Training]) -> None:
    lines = label_lines(home, taught, DRAW)
    assert list(values(lines).items()) == [
        (("before", "no labels"), 0.0),
        (("head", "25 % of the labels"), pytest.approx(0.25)),
        (("head", "100 % of the labels"), pytest.approx(0.75)),
        (("lora-prompt", "50 % of the labels"), 1.0),
        (("lora-prompt", "100 % of the labels"), pytest.approx(0.5)),
    ]
    counts = {(line.judge, line.condition): line.labels for line in lines}
    assert list(counts.values()) == [0, 10, 41, 20, 40]


def test_a_temperature_is_fitted_at_home_on_what_was_not_taught(
    home: Any, taught: list[Training], planted: list[tuple[str, str, list[int]]]
) -> None:
    away = away_from(taught, 1)
    for judge in (Judge(home, None), Judge(home, taught[2])):
        judge.of(away)
    assert planted == [("home", "elicit", [0, 2]), ("home", taught[2].stage("elicit"), [2])]


def test_a_pull_is_shown_with_without_and_as_the_difference(
    home: Any, taught: list[Training]
) -> None:
    found = values(pull_lines(home, taught[3], taught[0], DRAW))
    with_it, without, difference = found.values()
    assert with_it == 1
    assert difference == pytest.approx(with_it - without)
    assert {judge for judge, _ in found} == {"lora-prompt-50-percent"}


def test_other_answers_are_read_in_the_other_run(home: Any, taught: list[Training]) -> None:
    away = away_from(taught, 1)
    found = values(other_lines(home, away, [taught[2]], DRAW))
    assert found["head", "another model's answers"] == 1
    assert found["head", "own answers"] == pytest.approx(0.75)
    assert found["before", "own answers"] == 0
    assert found["before", "another model's answers"] == pytest.approx(0.5)


def test_swapped_answers_have_lines_of_every_judge(home: Any, taught: list[Training]) -> None:
    away = away_from(taught, 1)
    lines = swapped_lines(home, away, [taught[1]], DRAW)
    assert {line.judge for line in lines} == {"before", "lora-prompt"}


def test_unanswerable_questions_stand_beside_answerable_ones_of_the_same_set_or_else_of_home(
    home: Any, taught: list[Training]
) -> None:
    head = taught[2].stage("elicit")
    home.read[head] = replace(home.read[head], probability=np.full(40, 0.3))
    mixed = away_from(taught, 1, some_unanswerable=True)
    alone = replace(
        mixed, read={name: read.where(~read.answerable) for name, read in mixed.read.items()}
    )
    own, other = (
        values(unanswerable_lines(home, away, [taught[2]], DRAW), MEAN) for away in (mixed, alone)
    )
    assert own["head", "unanswerable"] == other["head", "unanswerable"] == pytest.approx(0.5)
    assert own["head", "answerable"] == pytest.approx(0.5)
    assert other["head", "answerable"] == pytest.approx(0.3)


def test_forms_are_judged_by_all_on_the_questions_both_hold_out(taught: list[Training]) -> None:
    training = taught[2]
    read, visit = training.stage("elicit"), f"transferred/{{}}/{training.stage('elicit')}"
    first = Run(
        "open",
        {"elicit": judged(0), read: judged(1), visit.format("choice"): judged(0.5)},
        {training.stage("teach"): 5},
    )
    second = Run(
        "choice",
        {
            "elicit": judged(1, shift=10),
            read: judged(1, shift=10),
            visit.format("open"): judged(0, shift=10),
        },
        {training.stage("teach"): 6},
    )
    lines = form_lines({"open": (first, [training]), "choice": (second, [training])}, DRAW)
    found = values(lines)
    assert found["before", "judges choice"] == 1
    assert found["head, taught open", "judges open"] == 1
    assert found["head, taught open", "judges choice"] == 0
    assert found["head, taught choice", "judges choice"] == 1
    # Of the pairs that both hold out, 5 to 19 in the open form, the transferred has those up to 9
    # in order.
    assert found["head, taught choice", "judges open"] == pytest.approx(1 / 3)
    assert {line.labels for line in lines if line.judge == "head, taught choice"} == {6}
