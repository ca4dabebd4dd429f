"""The plans in the guide are those that the package makes now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scripts import load_script
from workbench.errors import WorkbenchError
from workbench.plan.questions import plan_questions

DOCS = Path(__file__).parents[2] / "docs"
PLANS = load_script(DOCS / "plans.py")
MODELS = ("llama-3.1-70b", "gemma-3-27b")


def test_the_guide_has_the_plans_of_the_package() -> None:
    """Where this fails, run ``python docs/plans.py`` and commit what it writes."""
    text = (DOCS / "guide" / "scale.md").read_text(encoding="utf-8")
    case = PLANS.CASES[0]
    try:
        asked = plan_questions(PLANS.settings_of(MODELS[0], case), PLANS.QUESTIONS)
    except WorkbenchError as error:
        pytest.skip(f"the default model's tokenizer is not here: {error}")
    for model in MODELS:
        own = text.partition(f"**{model}**")[2]
        for case in (PLANS.CASES[0], PLANS.CASES[2]):
            assert f"\n| {' | '.join(PLANS.row_of(model, case, asked))} |\n" in own
    assert all(f"    {PLANS.command_of(MODELS[0], case)}" in text for case in PLANS.CASES)


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    text = f"before\n{PLANS.BEGIN}\nold\n{PLANS.END}\nafter\n"
    found = PLANS.with_section(text, "new")
    assert found == f"before\n{PLANS.BEGIN}\n\nnew\n\n{PLANS.END}\nafter\n"
