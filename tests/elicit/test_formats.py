from __future__ import annotations

import pytest

from workbench.elicit.formats import FORMATS, Format, format_named
from workbench.elicit.scales import PERCENT, Scale
from workbench.errors import WorkbenchError
from workbench.models import Turn

FORMAT = Format(
    name="test",
    system="Be brief.",
    answer_prefix="Answer:",
    confidence_question="How sure?",
    confidence_prefix="Confidence:",
    separator=" ",
    ending="%",
    scale=PERCENT,
)


def test_turns_of_the_two_questions() -> None:
    opening = (Turn("system", "Be brief."), Turn("user", "Who?"))
    assert FORMAT.answer_turns("Who?") == opening
    assert FORMAT.confidence_turns("Who?", "Ada") == (
        *opening,
        Turn("assistant", "Answer: Ada"),
        Turn("user", "How sure?"),
    )


def test_an_empty_answer_leaves_the_prefix_and_an_empty_prefix_the_answer() -> None:
    assert FORMAT.answer_text("") == "Answer:"
    bare = Format("bare", "", "", "How sure?", "I am", " ", "%", PERCENT)
    assert bare.answer_text("Ada") == "Ada"
    assert bare.answer_turns("Who?") == (Turn("user", "Who?"),)


def test_the_percent_scale_has_every_whole_number() -> None:
    assert PERCENT.values == tuple(range(101))
    assert PERCENT.certain == 100


@pytest.mark.parametrize(("values", "certain"), [((3, 2), 5), ((1, 1), 5), ((0, 10), 9)])
def test_scales_ascend_up_to_certainty(values: tuple[int, ...], certain: int) -> None:
    with pytest.raises(WorkbenchError, match="values must ascend"):
        Scale(values, certain)


def test_formats_are_found_by_name() -> None:
    assert all(format_named(name).name == name for name in FORMATS)
    with pytest.raises(WorkbenchError, match=r"Unknown elicitation format 'prcent'; choose one of .*percent"):
        format_named("prcent")
