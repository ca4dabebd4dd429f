from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.thinking import build_thinker
from tests.support.tiny_models import build_tiny
from workbench.api.confidence import Asked, ask
from workbench.elicit.answer import Limits
from workbench.elicit.conversation import POSITIONS, confidence_conversation
from workbench.elicit.examples import EXAMPLES
from workbench.elicit.formats import FORMATS
from workbench.elicit.readout import read_confidence
from workbench.elicit.thought_positions import THOUGHT_POSITIONS
from workbench.errors import WorkbenchError
from workbench.measure import auroc2, ece
from workbench.models import LanguageModel
from workbench.models.plain_turns import use_plain_turns
from workbench.questions import grade, side_of


def test_each_row_is_what_its_question_gives_alone(asked: Asked, writer: LanguageModel) -> None:
    """The distribution, the states and the text by a reading of one conversation at a time."""
    for row in (0, 1, 77):
        conversation = confidence_conversation(
            writer.tokenizer,
            FORMATS["percent"],
            asked.scale_tokens,
            asked.questions[row].text,
            asked.answers[row],
        )
        assert asked.conversations[row] == conversation
        alone = read_confidence(writer, [conversation], asked.scale_tokens, POSITIONS)
        assert alone.states is not None
        assert asked.states is not None
        assert asked.distribution[row] == pytest.approx(alone.distribution[0], abs=1e-6)
        assert asked.states[row] == pytest.approx(alone.states[0], abs=1e-4)
        np.testing.assert_equal(asked.stated[row], alone.stated[0])
        mean = alone.distribution[0] @ (np.arange(101) / 100) / alone.distribution.sum()
        assert asked.expected[row] == pytest.approx(mean, abs=1e-6)
        assert asked.correct[row] == grade(asked.answers[row], asked.questions[row])


def test_the_loop_fills_the_same_columns_with_the_same_numbers(asked: Asked, context: Any) -> None:
    loop = context.stage("elicit").table("confidence")
    answers = context.stage("answer").table("answers")
    assert list(asked.replies.columns) == [*answers.columns, *loop.columns[1:]]
    assert list(asked.replies["answer"]) == list(answers["answer"])
    assert list(asked.replies["stated_text"]) == list(loop["stated_text"])
    for column in ("expected", "mode", "mass"):
        assert asked.replies[column].to_numpy() == pytest.approx(loop[column].to_numpy(), abs=1e-6)


def test_the_split_goes_by_the_question_alone(asked: Asked) -> None:
    wanted = [side_of(question.text, 0.5) for question in asked.questions]
    assert list(asked.side) == wanted
    assert len(asked.train) == wanted.count("train")
    assert len(asked.test) == wanted.count("test")
    assert not set(asked.train.row) & set(asked.test.row)


def test_a_part_keeps_every_row_together(asked: Asked) -> None:
    part = asked.test[2:5]
    assert len(part) == 3
    for place, row in enumerate(part.row):
        assert part.questions[place] is asked.questions[row]
        assert part.conversations[place] is asked.conversations[row]
        assert part.answers[place] == asked.answers[row]
        assert (part.distribution[place] == asked.distribution[row]).all()
        assert (part.states[place] == asked.states[row]).all()  # type: ignore[index]
    with pytest.raises(WorkbenchError, match="several questions"):
        asked[3]  # type: ignore[index]


def test_the_summary_is_of_the_graded_answers(asked: Asked) -> None:
    found = asked.estimates(resamples=100)
    correct = asked.correct.to_numpy(dtype=bool)
    parsed = ~np.isnan(asked.stated)
    assert found["accuracy"].value == 0.5
    assert found["parse_rate"].value == pytest.approx(parsed.mean())
    assert found["parse_rate"].low < parsed.mean() < found["parse_rate"].high
    assert found["auroc2.expected"].value == pytest.approx(auroc2(asked.expected, correct))
    assert found["auroc2.stated"].value == pytest.approx(
        auroc2(asked.stated[parsed], correct[parsed])
    )
    assert found["ece.expected"].value == pytest.approx(ece(asked.expected, correct))
    assert found["auroc2.expected"].low < found["auroc2.expected"].high


def test_the_table_and_the_figure_tell_of_every_question(asked: Asked) -> None:
    table = asked.table()
    assert len(table) == len(asked) == 132
    assert list(table["id"]) == [question.id for question in asked.questions]
    assert set(table["side"]) == {"train", "test"}
    names = [trace.name.split(" (")[0] for trace in asked.figure().data]
    assert names == ["right answers", "wrong answers"]
    assert "auroc2.stated" in asked._repr_html_()


def test_plain_texts_are_asked_and_not_graded(tiny_lm: LanguageModel) -> None:
    found = ask(tiny_lm, ["Who?", "What is 7 + 5?"], "words", limits=Limits(3, 3), record=())
    assert found.correct.isna().all()
    assert found.states is None
    assert set(found.estimates()) == {"parse_rate"}
    assert found.summary()["measure"].tolist() == ["parse_rate"]
    assert [trace.name.split(" (")[0] for trace in found.figure().data] == ["ungraded answers"]


def test_a_format_without_the_answer_records_the_confidence_position(
    tiny_lm: LanguageModel,
) -> None:
    found = ask(tiny_lm, ["Who?", "Why?"], "percent-alone", limits=Limits(3, 3))
    assert found.positions == ("confidence",)
    assert found.states is not None
    assert found.states.shape == (2, 4, 1, 32)


def test_a_model_that_thinks_is_asked_with_its_thoughts() -> None:
    """Where the reply shows the thought its positions are recorded; truncated thoughts are drawn
    as a group of their own.
    """
    lm, limits = build_thinker(closing=4.0), Limits(3, 3, 12)
    texts = [f"Which of the planets is upper {i * 7919 % 1000}?" for i in range(12)]
    found = ask(lm, texts, "percent-one-turn", thinking="on", limits=limits)
    assert found.positions == (*POSITIONS, *THOUGHT_POSITIONS)
    assert found.states is not None
    assert found.states.shape == (12, 4, 8, 32)
    cut = found.replies["thought_truncated"]
    assert 0 < cut.sum() < 12
    names = [trace.name.partition(" (")[0] for trace in found.figure().data if trace.name]
    assert {"ungraded answers", "after truncated thoughts"} <= {*names}
    later = ask(lm, texts, "percent", thinking="on", record=(), limits=limits)
    assert all(conversation.thought is None for conversation in later.conversations)
    kept = ask(lm, texts, thinking="on", thinking_history="kept", record=(), limits=limits)
    assert all(conversation.thought is not None for conversation in kept.conversations)
    assert (kept.replies["thought"] == later.replies["thought"]).all()


def test_a_model_without_thoughts_is_not_asked_to_think(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="has no thoughts: choose a model that thinks"):
        ask(tiny_lm, ["Who?"], thinking="on")


def test_plain_turns_bring_their_examples() -> None:
    lm = build_tiny(max_position_embeddings=1024)
    lm.tokenizer.chat_template = None
    use_plain_turns(lm.tokenizer)
    found = ask(lm, ["Who?"], limits=Limits(3, 3), record=())
    assert found.format.examples == EXAMPLES
    text = lm.tokenizer.decode(found.conversations[0].tokens)
    assert text.startswith("Answer with only the answer.\n\nQuestion: How many strings")
    assert "\n\nQuestion: Who?\nAnswer:" in text
