from __future__ import annotations

from collections.abc import Callable

import pytest

from workbench.elicit.baselines.answered_question import Asked
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, render

MakeAsked = Callable[[LanguageModel], list[Asked]]


def test_prompt_and_answer_are_the_whole_strings_tokens(
    tiny_lm: LanguageModel, make_asked: MakeAsked
) -> None:
    asked = make_asked(tiny_lm)
    paris = asked[0]
    whole = tiny_lm.tokenizer.decode(paris.answered)
    assert whole == render(tiny_lm.tokenizer, paris.turns[:-1], "Answer: Paris")
    assert paris.answer_size == len(" Paris")
    assert asked[2].answered == asked[2].prompt
    assert asked[2].answer_size == 0


def test_a_prompt_that_merges_with_its_answer_is_refused(
    tiny_lm: LanguageModel, make_asked: MakeAsked
) -> None:
    paris = make_asked(tiny_lm)[0]
    with pytest.raises(WorkbenchError, match="merges the end of the prompt"):
        Asked(paris.question, "x", paris.prompt, (1, 2, 3), paris.turns)


def test_options_belong_to_choice_questions_alone(
    tiny_lm: LanguageModel, make_asked: MakeAsked
) -> None:
    paris = make_asked(tiny_lm)[0]
    with pytest.raises(WorkbenchError, match="only a choice question"):
        Asked(paris.question, "x", paris.prompt, paris.answered, paris.turns, ("A", "B"))
