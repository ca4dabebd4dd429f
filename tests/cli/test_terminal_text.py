from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.cli.terminal_text import safe_line, safe_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zürich, 東京, עברית, हिन्दी", "Zürich, 東京, עברית, हिन्दी"),
        ("\x1b]0;owned\x07\x1b[2J", r"\x1b]0;owned\x07\x1b[2J"),
        ("\x9b31mred", r"\x9b31mred"),
        ("over\rwritten\b\b", r"over\rwritten\x08\x08"),
        ("a\x00b\x7f", r"a\x00b\x7f"),
        ("user\u202egpj.exe", r"user\u202egpj.exe"),
        ("\u2066left\u2069 \u200e\u061c", r"\u2066left\u2069 \u200e\u061c"),
        ("in\u200bvisible\ufeff\U000e0041", r"in\u200bvisible\ufeff\U000e0041"),
        ("two\u2028lines", r"two\u2028lines"),
        ("byte \udcff", r"byte \udcff"),
        ("नमस्\u200dते 👩\u200d🔬", "नमस्\u200dते 👩\u200d🔬"),
        ("no-break\xa0space", "no-break\xa0space"),
        ("back\\slash", "back\\slash"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert safe_text(text) == shown
    assert safe_line(text) == shown


def test_line_breaks_and_tabs_stay_in_texts_only() -> None:
    assert safe_text("a\n\tb") == "a\n\tb"
    assert safe_line("a\n\tb") == r"a\n\tb"


@given(
    st.text(alphabet=st.characters())
    | st.text(alphabet=st.characters(categories=["Cs", "Cc", "Cf"]))
)
def test_nothing_unsafe_is_left_and_the_rest_stays(text: str) -> None:
    line = safe_line(text)
    assert line.isprintable() or all(
        unicodedata.category(c) not in {"Cc", "Cs", "Zl", "Zp", "Co"} for c in line
    )
    line.encode("utf-8")
    assert safe_line(line) == line
    if text.isprintable():
        assert line == text
