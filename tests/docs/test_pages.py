from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scripts import load_script
from workbench.config import RunConfig
from workbench.elicit.formats import FORMATS
from workbench.teach.recipes import RECIPES

DOCS = Path(__file__).parents[2] / "docs"


GENERATOR = load_script(DOCS / "generate.py")


@pytest.mark.parametrize(
    ("path", "content"), [pytest.param(*page, id=page[0].name) for page in GENERATOR.pages()]
)
def test_a_page_is_what_the_tables_and_runs_say(path: Path, content: str) -> None:
    """Where this fails, run ``python docs/generate.py`` and commit what it writes."""
    assert path.read_text(encoding="utf-8") == content


def test_results_are_numbers_under_their_rows_and_columns() -> None:
    data = {
        "title": "T", "command": "c", "commit": "abc", "machine": "m", "note": "", "settings": {"a": 1},
        "rows": [
            {"section": "s", "row": "r", "column": "one", "value": 0.5, "low": 0.25, "high": 1.0},
            {"section": "s", "row": "q", "column": "two", "value": 0.2, "low": None, "high": None},
            {"section": "s", "row": "q", "column": "count", "value": 2e4, "low": None, "high": None},
            {"section": "s", "row": "q", "column": "share", "value": 1.0, "low": None, "high": None},
        ],
    }  # fmt: skip
    page = GENERATOR.results_page(data, [Path("images/t-curve.png")])
    assert "| r | 0.50 [0.25, 1.00] |  |  |  |" in page
    assert "| q |  | 0.20 | 20,000 | 1.00 |" in page
    assert "\n![curve](images/t-curve.png)\n" in page


def test_no_number_is_written_over_another() -> None:
    row = {"section": "s", "row": "r", "column": "one", "value": 0.5, "low": 0.25, "high": 1.0}
    data = {"title": "T", "command": "c", "commit": "a", "machine": "m", "note": "", "settings": {}}
    with pytest.raises(ValueError, match=r"T, s: two numbers for \('r', 'one'\)"):
        GENERATOR.results_page({**data, "rows": [row, {**row, "value": 0.6}]})


def test_every_setting_format_and_arm_has_its_line() -> None:
    settings = GENERATOR.settings_page()
    for group, fields in RunConfig().model_dump().items():
        for key in fields if isinstance(fields, dict) else ():
            if not isinstance(fields[key], dict):
                assert f"`{group}.{key}`" in settings
    assert "`teach.lora.rank` | `16` | a whole number; >= 1; &lt;= 100,000" in settings
    assert all(f"| `{name}` |" in GENERATOR.formats_page() for name in FORMATS)
    recipes = GENERATOR.recipes_page()
    assert all(f"`{arm.name}`" in recipes for recipe in RECIPES.values() for arm in recipe.arms)


def test_a_line_that_holds_a_pipe_keeps_its_table() -> None:
    assert GENERATOR._cell("a | b\n <c>") == "a \\| b &lt;c>"
