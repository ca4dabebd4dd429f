from __future__ import annotations

import numpy as np
import pytest

from tests.support.jobs import FMT, one_turn, training_job
from workbench.elicit.conversation import answer_tokens, confidence_conversation
from workbench.elicit.formats import FORMATS
from workbench.elicit.readout import stated_tokens
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.teach.replies import answer_and_confidence, confidence_replies, whole_replies


@pytest.mark.parametrize(
    ("text", "answer", "stated"),
    [
        (" Paris\nConfidence: 85%", "Paris", 0.85),
        ("Paris.\n\nConfidence: 100% and more", "Paris.", 1.0),
        (" Paris\nConfidence:", "Paris", np.nan),
        (" Paris\nConfidence: 105%", "Paris", np.nan),
        (" Paris\nI am sure. Confidence: 85%", "Paris", np.nan),
        (" Paris Confidence: 85%", "Paris Confidence: 85%", np.nan),
        ("\nConfidence: 85%", "", np.nan),
        ("", "", np.nan),
    ],
)
def test_a_whole_reply_is_an_answer_and_on_its_next_line_a_confidence(
    text: str, answer: str, stated: float
) -> None:
    found = answer_and_confidence(FMT, text)
    assert found[0] == answer
    assert found[1] == pytest.approx(stated, nan_ok=True)


def test_confidence_in_the_base_models_answer_is_judged_by_the_target(
    tiny_lm: LanguageModel,
) -> None:
    given = training_job(tiny_lm)
    replies = confidence_replies(given)
    assert replies.prompts == [conversation.tokens for conversation in given.conversations]
    assert replies.limit == stated_tokens(given.numbers)
    judged = replies.judge(2, " 40%")
    assert (judged.stated, judged.correct) == (0.4, given.targets[2])


def test_a_whole_reply_is_graded_anew_and_its_confidence_sampled_where_it_is_read(
    tiny_lm: LanguageModel,
) -> None:
    given = one_turn(tiny_lm)
    replies = whole_replies(given)
    assert replies.prompts[3] == answer_tokens(tiny_lm.tokenizer, FMT, given.questions[3])
    right, wrong = (replies.judge(3, f" {answer}\nConfidence: 40%") for answer in (4, 5))
    assert (right.stated, right.correct, wrong.stated, wrong.correct) == (0.4, 1.0, 0.4, 0.0)
    whole = confidence_conversation(
        tiny_lm.tokenizer, FMT, given.numbers, given.questions[3], "seven letters"
    )
    opening = replies.opening
    assert opening is not None
    assert opening.limit == 6
    assert whole.tokens[whole.after_answer :] == opening.written
    assert replies.limit == stated_tokens(given.numbers)
    broken, plain = (
        tiny_lm.tokenizer("\n", add_special_tokens=False)["input_ids"],
        whole.tokens[whole.answer_end],
    )
    assert {*broken, tiny_lm.tokenizer.eos_token_id} <= opening.stop
    assert plain not in opening.stop


@pytest.mark.parametrize("name", ["percent", "percent-reasoned", "percent-first"])
def test_a_format_of_other_replies_is_refused(tiny_lm: LanguageModel, name: str) -> None:
    with pytest.raises(
        WorkbenchError, match=rf"'{name}' does not ask for; set elicit\.format=percent-one-turn"
    ):
        whole_replies(one_turn(tiny_lm, fmt=FORMATS[name]))


def test_answers_that_cannot_be_graded_are_refused(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match=r"take questions\.graded_file out"):
        whole_replies(one_turn(tiny_lm, grade=None))
