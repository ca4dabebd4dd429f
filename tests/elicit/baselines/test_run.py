from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.elicit.baselines import BASELINES, BaselineSettings, run_baselines
from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.clusters import grouped_batch
from workbench.elicit.baselines.forced import forced_batch
from workbench.elicit.baselines.run import run_passes, score_baselines, select_baselines
from workbench.elicit.formats import format_named
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.pipeline.store import StageStore

MakeAsked = Callable[[LanguageModel], list[Asked]]
SETTINGS = BaselineSettings(samples=4, answer_tokens=5, list_tokens=6, tokens_per_forward=4096)
OPEN = [name for name, row in BASELINES.items() if not row.choice]


def test_all_that_apply_are_scored_for_every_question(
    tiny_lm: LanguageModel, make_asked: MakeAsked
) -> None:
    asked = make_asked(tiny_lm)
    table = run_baselines(tiny_lm, asked, None, SETTINGS)
    assert list(dict.fromkeys(table["baseline"])) == OPEN
    assert table.groupby("baseline")["row"].agg(list).map(lambda rows: rows == [0, 1, 2, 3]).all()
    assert (table["tokens"] > 0).all()
    for name, lines in table.groupby("baseline"):
        known = lines["score"].dropna()
        if BASELINES[str(name)].unit == "probability":
            assert known.between(0, 1).all()
        if "entropy" in str(name) or name == "perplexity":
            assert (known <= 0).all()
    unread = table[table["score"].isna()]["baseline"].unique()
    assert set(unread) <= {"stated", "top_k", "top_guess"}


def test_choice_questions_bring_their_own_baselines(
    tiny_lm: LanguageModel, make_choices: MakeAsked
) -> None:
    asked = make_choices(tiny_lm)
    assert {row.name for row in select_baselines(asked, None)} == set(BASELINES)
    table = run_baselines(tiny_lm, asked, ["p_ic", "max_softmax"], SETTINGS)
    wide = table.pivot(index="row", columns="baseline", values="score")
    assert (wide["p_ic"] >= wide["max_softmax"]).all()


def test_scores_that_follow_from_one_another(tiny_lm: LanguageModel, make_asked: MakeAsked) -> None:
    asked = make_asked(tiny_lm)
    names = ["likelihood", "mean_likelihood", "perplexity", "first_entropy"]
    wide = run_baselines(tiny_lm, asked, names, SETTINGS).pivot(
        index="row", columns="baseline", values="score"
    )
    forced = forced_batch(tiny_lm, format_named("percent"), asked, np.arange(4), [])
    np.testing.assert_allclose(wide["likelihood"], np.exp(forced["log_likelihood"]), rtol=1e-4)
    np.testing.assert_allclose(
        wide["mean_likelihood"], np.exp(forced["log_likelihood"] / forced["scored"]), rtol=1e-4
    )
    np.testing.assert_allclose(wide["perplexity"], -1 / wide["mean_likelihood"], rtol=1e-9)
    np.testing.assert_allclose(wide["first_entropy"], -forced["entropy"], rtol=1e-4)


def test_costs_add_up(tiny_lm: LanguageModel, make_asked: MakeAsked) -> None:
    asked = make_asked(tiny_lm)
    chosen = select_baselines(
        asked, ["agreement", "semantic_entropy", "likelihood", "first_entropy"]
    )
    evidence = run_passes(tiny_lm, asked, chosen, SETTINGS)
    wide = score_baselines(evidence, chosen).pivot(index="row", columns="baseline", values="tokens")
    samples, groups = evidence.tables["samples"], evidence.tables["groups"]
    for row, one in enumerate(asked):
        generated = samples["tokens"][samples["row"] == row].sum()
        assert wide["agreement"][row] == len(one.prompt) + generated
        asked_for = groups["tokens"][groups["row"] == row].iloc[0]
        assert wide["semantic_entropy"][row] == len(one.prompt) + generated + asked_for
        assert wide["likelihood"][row] == len(one.answered)
        assert wide["first_entropy"][row] == len(one.prompt)


def test_memory_bounds_change_nothing(tiny_lm: LanguageModel, make_asked: MakeAsked) -> None:
    asked = make_asked(tiny_lm)
    tight = SETTINGS.model_copy(update={"tokens_per_forward": 1, "tokens_held": 1})
    wide, narrow = (run_baselines(tiny_lm, asked, None, settings) for settings in (SETTINGS, tight))
    pd.testing.assert_frame_equal(wide, narrow, rtol=1e-3, atol=1e-6)


def test_a_killed_run_goes_on_where_it_was(
    tiny_lm: LanguageModel, make_asked: MakeAsked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third batch of comparisons fails; on the second attempt only what was missing is
    computed.
    """
    asked, tight = make_asked(tiny_lm), SETTINGS.model_copy(update={"tokens_held": 1})
    names = ["likelihood", "agreement", "semantic_entropy"]
    whole = run_baselines(tiny_lm, asked, names, tight)
    stage = StageStore(tmp_path / "baselines", "key")
    stage.begin()
    rows: list[int] = []

    def failing(*args: object) -> pd.DataFrame:
        rows.append(int(args[3][0]))  # type: ignore[index]
        if len(rows) == 3:
            raise KeyboardInterrupt
        return grouped_batch(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("workbench.elicit.baselines.evidence.grouped_batch", failing)
    with pytest.raises(KeyboardInterrupt):
        run_baselines(tiny_lm, asked, names, tight, stage)
    stopped = rows.copy()
    monkeypatch.setattr("workbench.elicit.baselines.evidence.sampled_batch", None)
    monkeypatch.setattr("workbench.elicit.baselines.evidence.forced_batch", None)
    resumed = run_baselines(tiny_lm, asked, names, tight, stage)
    assert rows[3] == stopped[2]
    assert sorted([*stopped[:2], *rows[3:]]) == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(resumed, whole, rtol=1e-4)


def test_what_cannot_be_scored_is_refused_before_any_forward(
    tiny_lm: LanguageModel, make_asked: MakeAsked
) -> None:
    asked = make_asked(tiny_lm)
    with pytest.raises(WorkbenchError, match="Unknown baseline"):
        run_baselines(tiny_lm, asked, ["guessing"], SETTINGS)
    with pytest.raises(WorkbenchError, match="Unknown baseline"):
        run_baselines(tiny_lm, asked, [], SETTINGS)
    with pytest.raises(WorkbenchError, match="needs choice questions"):
        run_baselines(tiny_lm, asked, ["p_ic"], SETTINGS)
    with pytest.raises(WorkbenchError, match="no question"):
        run_baselines(tiny_lm, [], None, SETTINGS)
