from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.config import RunConfig
from workbench.elicit.answer import answer_batch
from workbench.elicit.conversation import answer_tokens
from workbench.elicit.formats import format_named
from workbench.errors import WorkbenchError
from workbench.experiments.baselines.page import page_of
from workbench.experiments.baselines.results import BaselineResults, summary_of
from workbench.experiments.baselines.run import (
    BaselineParameters,
    compare_baselines,
    run_baselines,
    settings_of,
)
from workbench.experiments.questions import experiment_questions
from workbench.loading import load_model
from workbench.measure import auroc2
from workbench.pipeline.stages import Reuse
from workbench.questions import grade
from workbench.questions.choice import with_options
from workbench.report import write_page

NAMES = ["likelihood", "p_true", "agreement", "semantic_entropy", "stated"]


@pytest.fixture
def config(loop_inputs: Any) -> RunConfig:
    whole: RunConfig = loop_inputs.config
    return whole.model_copy(
        update={"questions": whole.questions.model_copy(update={"limit": 16}), "bootstrap_resamples": 100}
    )  # fmt: skip


def test_answers_are_the_models_own_and_every_score_is_judged_by_them(
    config: RunConfig, tmp_path: Path
) -> None:
    settings = settings_of(config, samples=3)
    found = compare_baselines(config, settings, NAMES, tmp_path / "run")
    lm, fmt = load_model(config.model.name, device="cpu"), format_named("percent")
    questions = experiment_questions(config)
    prompts = [answer_tokens(lm.tokenizer, fmt, question.text) for question in questions]
    replies = answer_batch(lm, prompts, config.elicit.answer_tokens)
    assert list(found.answers) == replies
    assert found.correct.tolist() == [grade(r, q) for r, q in zip(replies, questions, strict=True)]
    assert [one.baseline.name for one in found.found] == [
        "likelihood",
        "p_true",
        "agreement",
        "semantic_entropy",
        "stated",
    ]
    scores = found.table[found.table["baseline"] == "p_true"]["score"]
    assert found.found[1].pooled.value == pytest.approx(auroc2(scores, found.correct))
    assert found.groups is not None
    assert 1 <= found.groups["groups"] <= found.groups["distinct_answers"] <= 3
    stored = pd.read_parquet(tmp_path / "run" / "baselines" / "baselines.parquet")
    pd.testing.assert_frame_equal(stored, found.table)


def test_a_second_call_computes_nothing_and_other_settings_begin_anew(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(config, samples=3)
    first = compare_baselines(config, settings, ["agreement"], tmp_path / "run")
    monkeypatch.setattr("workbench.elicit.baselines.evidence.sampled_batch", None)
    monkeypatch.setattr("workbench.elicit.answer_table.answer_batch", None)
    again = compare_baselines(config, settings, ["agreement"], tmp_path / "run")
    pd.testing.assert_frame_equal(first.table, again.table)
    assert not list((tmp_path / "run").rglob("parts"))
    assert {path.parent.name for path in (tmp_path / "run").rglob("done.json")} == {
        "answer",
        "baselines",
    }
    other = settings_of(config, samples=4)
    with pytest.raises(
        WorkbenchError, match=r"other settings \(baselines\.samples: 3 there, 4 now\)"
    ):
        compare_baselines(config, other, ["agreement"], tmp_path / "run")
    with pytest.raises(TypeError, match="NoneType"):
        compare_baselines(config, other, ["agreement"], tmp_path / "run", reuse=Reuse(replace=True))


def test_page_tables_and_summary(config: RunConfig, tmp_path: Path) -> None:
    settings = settings_of(config, samples=3)
    names = ["likelihood", "p_ic"]
    choices = [
        with_options(question, [question.answers[0], "Nothing"], question.answers[:1])
        for question in experiment_questions(config)
    ]
    runs = {
        "open": compare_baselines(config, settings, names[:1], tmp_path / "open"),
        "choice": compare_baselines(config, settings, names, tmp_path / "choice", choices),
    }
    index = write_page(page_of(BaselineResults(runs, config, settings)), tmp_path / "page")
    text = index.read_text()
    assert "P_IC over the options" in text
    assert "<script>alert" not in text
    lines = pd.read_csv(tmp_path / "page" / "choice.csv").set_index("baseline")
    assert lines.loc["p_ic", "auroc2"] == pytest.approx(
        runs["choice"].found[1].pooled.value, nan_ok=True
    )
    scores = pd.read_csv(tmp_path / "page" / "choice_scores.csv")
    np.testing.assert_allclose(scores["score"], runs["choice"].table["score"])
    assert {path.name for path in (tmp_path / "page").glob("*.html")} == {
        "index.html",
        "open.html",
        "choice.html",
    }
    assert summary_of("open", runs["open"])["open.questions"] == 16


def test_settings_that_do_not_fit_are_refused(config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="'temperature'"):
        settings_of(config, temperature=0)
    other = settings_of(config).model_copy(update={"format": "other"})
    with pytest.raises(WorkbenchError, match="same"):
        compare_baselines(config, other, None, tmp_path)
    assert settings_of(config).answer_tokens == config.elicit.answer_tokens


def test_open_questions_and_choices_are_scored_side_by_side(
    config: RunConfig, answered_file: Path, tmp_path: Path
) -> None:
    asked = config.questions.model_copy(
        update={"source": str(answered_file), "limit": 8, "options": 2}
    )
    config = config.model_copy(update={"questions": asked})
    parameters = BaselineParameters(
        samples=2, open_baselines=("likelihood",), choice_baselines=("p_ic", "expected")
    )
    found = run_baselines(config, tmp_path / "run", parameters)
    names = {name: [one.baseline.name for one in run.found] for name, run in found.runs.items()}
    assert names == {"open": ["likelihood"], "choice": ["p_ic", "expected"]}
    assert [q.kind for q in found.runs["choice"].questions] == ["choice"] * 8
    assert found.settings.samples == 2
