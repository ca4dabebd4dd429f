"""vLLM cannot run here, so its documented classes stand in for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.support.recorded_vllm import RecordedVllm
from workbench.api.confidence import ask
from workbench.config import ElicitSettings, ModelSettings
from workbench.elicit.answer import Limits, answer_batch, greedy_tokens
from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.sampling import sampled_batch, seed_of
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.elicit.bulk.configured import check_engine, use_engine
from workbench.elicit.bulk.engine import attach_bulk, bulk_of
from workbench.elicit.bulk.vllm_engine import VllmEngine, open_vllm, recording_arguments
from workbench.elicit.greedy import stop_at_newline
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.questions import Question
from workbench.states.vllm_files import import_vllm_states
from workbench.trace.record import record_states

PROMPTS = [list(range(5, 18)), [9, 10, 11], [30, 31, 32, 33, 34]]
OPEN: dict[str, Any] = {"dtype": "float32", "seed": 0, "memory": 0.5, "devices": 1}
SHORT = Limits(answer=8, reasoning=8)
VLLM = ElicitSettings(engine="vllm")


@pytest.fixture
def lm(make_tiny: Callable[..., LanguageModel]) -> LanguageModel:
    return make_tiny("llama", max_position_embeddings=1024)


@pytest.fixture
def vllm(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> RecordedVllm:
    recorded = RecordedVllm(lm)
    monkeypatch.setitem(sys.modules, "vllm", recorded.module())
    return recorded


def test_greedy_text_and_its_log_probabilities(lm: LanguageModel, vllm: RecordedVllm) -> None:
    stop = stop_at_newline(lm)
    expected, scores = greedy_tokens(lm, PROMPTS, 8, stop)
    found = open_vllm("org/model", **OPEN).write(PROMPTS, 8, stop.nonzero()[:, 0].tolist())
    assert found.tokens == expected
    for mine, theirs in zip(found.scores, scores, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
    [told] = vllm.loaded
    assert told["model"] == "org/model"
    assert told["skip_tokenizer_init"]
    assert {how.temperature for how in vllm.asked} == {0.0}
    assert not any(how.detokenize for how in vllm.asked)


def test_answers_by_an_engine_are_those_of_the_exact_path(
    lm: LanguageModel, vllm: RecordedVllm
) -> None:
    questions = ("Who?", "What is 48 + 37?", "Why is it so?")
    exact = ask(lm, questions, "percent-reasoned", record=(), limits=SHORT)
    attach_bulk(lm, VllmEngine(vllm))
    found = ask(lm, questions, "percent-reasoned", record=(), limits=SHORT)
    pd.testing.assert_frame_equal(found.replies, exact.replies, rtol=1e-4)
    assert len(vllm.asked) == 2 * len(questions)


def test_an_adapter_that_is_on_writes_by_the_exact_path(
    lm: LanguageModel, vllm: RecordedVllm
) -> None:
    attach_bulk(lm, VllmEngine(vllm))
    assert bulk_of(lm) is not None
    tuned = get_peft_model(lm.model, LoraConfig(r=2, target_modules=["q_proj"]))
    assert bulk_of(lm.with_model(tuned)) is None
    with tuned.disable_adapter():
        assert bulk_of(lm.with_model(tuned)) is not None


def test_samples_have_the_questions_seeds_and_likelihoods_of_the_exact_path(
    lm: LanguageModel, vllm: RecordedVllm
) -> None:
    """The likelihood of a sample that did not end is the sum over its tokens, by plain passes."""
    settings = BaselineSettings(samples=3, answer_tokens=4, seed=7)
    asked = [
        Asked(
            Question(text, text, ("x",), "texts", "given", ""), "", tuple(prompt), tuple(prompt), ()
        )
        for text, prompt in zip("abc", PROMPTS, strict=True)
    ]
    attach_bulk(lm, VllmEngine(vllm))
    table = sampled_batch(lm, asked, np.arange(3), settings)
    assert [how.seed for how in vllm.asked] == [seed_of(text, 7) for text in "abc"]
    assert {how.n for how in vllm.asked} == {3}
    assert len(table) == 9
    for line in table.itertuples():
        path = [int(token) for token in str(line.path).split()]
        prompt = PROMPTS[int(line.row)]
        logits = lm.base()(input_ids=torch.tensor([[*prompt, *path]])).logits[0].log_softmax(-1)
        steps = logits[len(prompt) - 1 : -1]
        expected = float(sum(step[token] for step, token in zip(steps, path, strict=True)))
        if len(path) < settings.answer_tokens:
            expected += float(logits[-1][stop_at_newline(lm)].logsumexp(-1))
        assert line.log_likelihood == pytest.approx(expected, abs=1e-4)
    again = sampled_batch(lm, asked[1:], np.arange(1, 3), settings)
    assert list(again["path"]) == list(table["path"][3:])


def test_states_are_recorded_by_the_engine_and_read_here(
    lm: LanguageModel, vllm: RecordedVllm, tmp_path: Path
) -> None:
    layers = list(range(lm.n_layers))
    told = recording_arguments(layers, tmp_path)
    ids = told["speculative_config"]["draft_model_config"]["hf_config"]
    assert ids == {"eagle_aux_hidden_state_layer_ids": [1, 2, 3, 4]}
    engine = open_vllm("org/model", **OPEN, **told)
    at = [[0, 12], [1, 2], [4, 3]]
    found = import_vllm_states(engine.record(PROMPTS), PROMPTS, at, [1, 2, 3, 4], tmp_path / "kept")
    expected = record_states(lm, PROMPTS, at).numpy()
    np.testing.assert_allclose(np.asarray(found.states), expected, atol=1e-4)
    with pytest.raises(WorkbenchError, match="recording_arguments"):
        open_vllm("org/model", **OPEN).record(PROMPTS)


def test_an_engine_that_is_not_there_is_refused_before_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.setattr("workbench.elicit.bulk.vllm_engine.find_spec", lambda name: None)
    check_engine(ModelSettings(), ElicitSettings())
    with pytest.raises(WorkbenchError, match=r"install confidence-workbench\[vllm\]"):
        check_engine(ModelSettings(), VLLM)
    with pytest.raises(WorkbenchError, match=r"model\.quantize=none"):
        check_engine(ModelSettings(quantize="int8"), VLLM)
    with pytest.raises(WorkbenchError, match="server writes the answers"):
        check_engine(ModelSettings(placement="ndif"), VLLM)


def test_an_engine_that_fails_to_load_is_a_sentence(vllm: RecordedVllm) -> None:
    def full(**options: Any) -> None:
        raise RuntimeError("No available memory for the cache blocks.")

    sys.modules["vllm"].LLM = full  # type: ignore[attr-defined]
    with pytest.raises(WorkbenchError, match=r"does not load 'org/model' \(No available memory"):
        open_vllm("org/model", **OPEN)


def test_settings_open_and_attach_it(lm: LanguageModel, vllm: RecordedVllm, tmp_path: Path) -> None:
    lm.model.save_pretrained(tmp_path)
    use_engine(lm, ModelSettings(name=str(tmp_path)), VLLM, 3)
    [told] = vllm.loaded
    assert (told["model"], told["dtype"], told["seed"]) == (str(tmp_path), "float32", 3)
    assert answer_batch(lm, PROMPTS, 5, bulk=bulk_of(lm)) == answer_batch(lm, PROMPTS, 5)
