from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.config import RunConfig
from workbench.elicit import confidence_conversation, format_named, read_confidence, scale_tokens
from workbench.elicit.baselines.options import read_options
from workbench.elicit.conversation import answer_tokens
from workbench.errors import WorkbenchError
from workbench.experiments.confidence_alignment.read import EIGHT, FULL, Confidences
from workbench.experiments.confidence_alignment.run import read_alignment
from workbench.loading import load_model
from workbench.pipeline.stages import Reuse
from workbench.questions import grade, prompt_text


@pytest.fixture(scope="module")
def config(loop_inputs: Any, answered_file: Path) -> RunConfig:
    whole: RunConfig = loop_inputs.config
    asked_for = {"source": str(answered_file), "limit": 6, "options": 2}
    return whole.model_copy(update={"questions": whole.questions.model_copy(update=asked_for)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alignment") / "run"


@pytest.fixture(scope="module")
def read(config: RunConfig, folder: Path) -> Confidences:
    return read_alignment(config, folder)


def test_combinations_are_rows_of_the_table_of_formats_with_these_ingredients() -> None:
    assert len({each.format for each in EIGHT}) == 8
    for each in (*EIGHT, FULL):
        fmt = format_named(each.format)
        assert fmt.layout == "review"
        assert fmt.options is each.options
        assert ("language model" in fmt.confidence_question) is (each.voice == "third")
        assert len(fmt.scale.values) == {"hundred": 100, "words": 6, "letters": 6}[each.scale]
        assert fmt.answer_turns("?") == format_named(FULL.format).answer_turns("?")


def test_the_answer_is_the_likeliest_option_and_the_grade_is_its_own(
    config: RunConfig, read: Confidences
) -> None:
    lm, fmt = load_model(config.model.name, device="cpu"), format_named(FULL.format)
    assert len(read.questions) == 6
    for row, question in enumerate(read.questions):
        assert len(question.options) == 2
        prompt = answer_tokens(lm.tokenizer, fmt, prompt_text(question))
        found = read_options(lm, fmt.answer_prefix, [prompt], [("A", "B")])
        line = read.internal.iloc[row]
        assert line["letter"] == found.chosen[0]
        assert line["p_ic"] == pytest.approx(found.p_ic[0], rel=1e-4)
        assert line["mass"] == pytest.approx(found.mass[0], rel=1e-4)
        assert line["correct"] == grade(found.chosen[0], question)
        own = read.options[read.options["row"] == row].set_index("letter")
        np.testing.assert_allclose(own["probability"], found.probability[0], rtol=1e-4)
        assert own.index[own["right"]].tolist() == list(question.answers)
    assert read.domain.tolist() == [question.domain for question in read.questions]


def test_confidence_is_asked_of_that_very_answer_in_every_format(
    config: RunConfig, read: Confidences
) -> None:
    lm = load_model(config.model.name, device="cpu")
    assert read.stated.groupby("format").size().to_dict() == {
        each.format: 6 for each in (*EIGHT, FULL)
    }
    for each in (EIGHT[0], EIGHT[-1], FULL):
        fmt = format_named(each.format)
        numbers = scale_tokens(lm.tokenizer, fmt)
        lines = read.stated[read.stated["format"] == each.format].set_index("row")
        for row in (0, 5):
            letter = read.internal["letter"][row]
            conversation = confidence_conversation(
                lm.tokenizer, fmt, numbers, prompt_text(read.questions[row]), letter
            )
            text = lm.tokenizer.decode(conversation.tokens)
            assert (read.questions[row].options[0] in text) is each.options or letter == "A"
            alone = read_confidence(lm, [conversation], numbers)
            assert lines["stated_text"][row] == alone.stated_text[0]
            np.testing.assert_allclose(lines["mass"][row], alone.distribution.sum(), rtol=1e-3)
            expected = (
                alone.distribution[0] @ np.asarray(fmt.scale.shares) / alone.distribution.sum()
            )
            assert lines["expected"][row] == pytest.approx(expected, rel=1e-3)


def test_a_second_call_computes_nothing_and_other_settings_begin_anew(
    config: RunConfig, folder: Path, read: Confidences, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("read_options", "answer_batch", "read_confidence"):
        monkeypatch.setattr(f"workbench.experiments.confidence_alignment.read.{name}", None)
    again = read_alignment(config, folder)
    for name in ("internal", "options", "stated"):
        pd.testing.assert_frame_equal(getattr(read, name), getattr(again, name))
    assert not list(folder.rglob("parts"))
    assert len(list(folder.rglob("done.json"))) == 10
    more = config.model_copy(update={"bootstrap_resamples": 150})
    read_alignment(more, folder)  # what measures, and does not read, may change
    other = config.model_copy(update={"seed": 5})
    with pytest.raises(
        WorkbenchError, match=r"holds results of other settings \(seed: 0 there, 5 now"
    ):
        read_alignment(other, folder)
    with pytest.raises(TypeError, match="NoneType"):
        read_alignment(other, folder, Reuse(replace=True))
