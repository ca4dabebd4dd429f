"""The whole loop on a tiny model that thinks: its thoughts' positions are probed, and answers after
truncated thoughts are counted and in nothing that is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.thinking import build_thinker, planted_answers
from workbench.config import RunConfig
from workbench.elicit.conversation import POSITIONS
from workbench.elicit.defaults import limits_of
from workbench.elicit.formats import FORMATS, configured
from workbench.elicit.thought_positions import THOUGHT_POSITIONS
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.loop import STAGES, open_current_run, run_loop, run_stages
from workbench.loop.checks import check_settings
from workbench.loop.confidence import confidence_conversations
from workbench.loop.positions import run_positions
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.pipeline.store import RunStore
from workbench.questions import write_questions

LIMIT = 12
Configure = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("thinker") / "model"
    lm = build_thinker(closing=6.0)
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def configure(loop_inputs: Any, thinker: Path, tmp_path: Path) -> Configure:
    """Settings of a run on the thinker in a format, with the questions planted for it."""

    def make(count: int = 10, **elicit: str) -> RunConfig:
        whole = loop_inputs.config.model_dump(mode="json")
        whole["model"]["name"] = str(thinker)
        whole["elicit"] |= {"thinking": "on", "thinking_tokens": LIMIT, **elicit}
        whole["questions"]["source"] = str(tmp_path / "questions.jsonl")
        whole["bootstrap_resamples"] = 100
        whole["probe"] |= {"inverse_penalties": (0.1,), "shuffles": 1}
        whole["patch"]["layers"] = (1, 3)
        config = RunConfig.model_validate(whole)
        fmt = configured(FORMATS[config.elicit.format], config.elicit)
        lm = load_model(str(thinker), device="cpu")
        planted = planted_answers(lm, fmt, limits_of(config.elicit), count)
        write_questions(tmp_path / "questions.jsonl", planted)
        return config

    return make


def test_the_loop_on_a_model_that_thinks(configure: Configure, tmp_path: Path) -> None:
    """Twice: before it answers, which later turns show, and before it states its confidence."""
    config = configure(33, format="percent-second-thought", thinking_history="kept")
    summary = run_loop(config, tmp_path / "run", tmp_path / "figures")
    context = open_current_run(config, tmp_path / "run", tmp_path / "figures")
    answers = context.stage("answer").table("answers")
    cut = answers["thought_truncated"]
    assert 0 < cut.sum() < len(answers) / 2
    assert answers["correct"].isna().tolist() == cut.tolist()
    assert summary["answers.truncated_thoughts"] == cut.sum()
    assert summary["answers.ungraded"] == 0
    questions, _ = load_questions(context)
    assert (questions["split"] == "ungraded").tolist() == cut.tolist()
    page = (tmp_path / "figures" / "index.html").read_text(encoding="utf-8")
    assert f"{cut.sum()} after a truncated thought, not graded" in page
    assert 0.3 < summary["accuracy.before"] < 0.7
    assert summary["auroc2.probe.before"] > 0.75
    assert summary["patching.packed_vs_loop"] < 1e-4
    assert summary["patching.shift.last_layer"] == pytest.approx(1, abs=1e-3)
    positions = (*POSITIONS, *THOUGHT_POSITIONS)
    assert run_positions(context) == positions
    assert context.loaded.lm is None  # the positions are read from the results
    assert tuple(summary["positions"]) == positions
    for stage in ("elicit", "elicit_tuned"):
        states = context.stage(stage).tensors("readings")["states"]
        assert states.shape[:3] == (len(answers), 4, len(positions))
    layers = context.stage("probe").table("layers")
    assert set(layers["position"]) == {*positions}
    assert "thought end" in page
    again = answers["second_thought_truncated"].sum()
    assert summary["answers.truncated_second_thoughts"] == again


@pytest.mark.parametrize(
    ("name", "shown"), [("percent-one-turn", THOUGHT_POSITIONS), ("percent", ())]
)
def test_states_in_a_thought_are_those_of_a_plain_pass(
    configure: Configure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    shown: tuple[str, ...],
) -> None:
    """Recorded states against the host library's on one conversation; where the template leaves
    the thought out, as in a second turn here, there are none in it.
    """
    monkeypatch.setattr("workbench.loop.checks.check_answers", lambda _: None)  # too few to probe
    context = Run(configure(format=name), RunStore(tmp_path / "run"), tmp_path / "figures")
    run_stages(STAGES[:3], context)
    states = context.stage("elicit").tensors("readings")["states"]
    conversations = confidence_conversations(context)
    assert run_positions(context) == (*POSITIONS, *shown)
    for row in (0, 17):
        tokens = torch.tensor([conversations[row].tokens])
        hidden = context.lm.model(tokens, output_hidden_states=True).hidden_states
        for index, name in enumerate(run_positions(context)):
            at = conversations[row].position(name)
            assert states[row, 1, index] == pytest.approx(hidden[2][0, at].numpy(), abs=1e-4)


@pytest.mark.parametrize(
    ("elicit", "message"),
    [
        ({"format": "percent-reasoned"}, "has reasoning in words there; set elicit.thinking=off"),
        ({"format": "percent", "template": "plain"}, "Plain text has no thoughts"),
    ],
)
def test_settings_that_no_thought_fits(
    loop_inputs: Any, elicit: dict[str, str], message: str
) -> None:
    with pytest.raises(WorkbenchError, match=message):
        check_settings(with_elicit(loop_inputs.config, thinking="on", **elicit))


def with_elicit(config: RunConfig, **changes: Any) -> RunConfig:
    return config.model_copy(update={"elicit": config.elicit.model_copy(update=changes)})


def test_a_second_thought_needs_thinking(loop_inputs: Any) -> None:
    config = with_elicit(loop_inputs.config, format="percent-second-thought")
    with pytest.raises(WorkbenchError, match=r"set elicit\.thinking=on"):
        check_settings(config)


def test_answers_of_a_file_have_no_thoughts(loop_inputs: Any, tmp_path: Path) -> None:
    config = with_elicit(loop_inputs.config, thinking="on")
    graded = config.questions.model_copy(update={"graded_file": tmp_path / "graded.jsonl"})
    with pytest.raises(WorkbenchError, match="answers without the thoughts"):
        check_settings(config.model_copy(update={"questions": graded}))


def test_a_model_without_thoughts_is_refused_when_it_is_loaded(
    loop_inputs: Any, tmp_path: Path
) -> None:
    config = with_elicit(loop_inputs.config, thinking="on")
    with pytest.raises(WorkbenchError, match="has no thoughts: choose a model that thinks"):
        _ = Run(config, RunStore(tmp_path), tmp_path).lm


def test_thoughts_that_are_all_cut(configure: Configure, tmp_path: Path) -> None:
    config = with_elicit(configure(format="percent"), thinking_tokens=1, answer_tokens=1)
    context = Run(config, RunStore(tmp_path / "run"), tmp_path / "figures")
    with pytest.raises(WorkbenchError, match=r"thoughts were cut before their end.*raise"):
        run_stages(STAGES[:2], context)


def test_two_runs_share_a_model_of_one_template(loop_inputs: Any, tmp_path: Path) -> None:
    run = Run(loop_inputs.config, RunStore(tmp_path), tmp_path)
    other = with_elicit(loop_inputs.config, template="plain")
    with pytest.raises(WorkbenchError, match="share a model only if"):
        run.sibling(other, tmp_path, tmp_path)
