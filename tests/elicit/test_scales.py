from __future__ import annotations

import pytest

from workbench.elicit import scales
from workbench.elicit.scales import Scale
from workbench.errors import WorkbenchError

ROWS = {name: row for name, row in vars(scales).items() if isinstance(row, Scale)}


def test_the_rows() -> None:
    assert ROWS["PERCENT"].texts == tuple(map(str, range(101)))
    assert ROWS["HUNDRED"].texts == tuple(map(str, range(1, 101)))
    assert ROWS["DIGIT"].texts == tuple("0123456789")
    assert ROWS["TEN"].texts[-1] == "10"
    assert ROWS["TENTHS"].texts[:4] == ("0.0", "0.1", "0.2", "0.3")
    assert ROWS["TENTHS"].texts[-1] == "1.0"
    assert ROWS["HUNDREDTHS"].texts[28:31] == ("0.28", "0.29", "0.30")
    assert len(ROWS["HUNDREDTHS"].texts) == 101


def test_words_are_worth_what_was_published() -> None:
    """Kumar et al. 2024: very certain 1, fairly .8, moderately .6, somewhat .4, not certain .2,
    very uncertain 0.
    """
    worth = dict(zip(ROWS["CERTAINTY"].texts, ROWS["CERTAINTY"].shares, strict=True))
    assert worth == {
        "Very certain": 1.0,
        "Fairly certain": 0.8,
        "Moderately certain": 0.6,
        "Somewhat certain": 0.4,
        "Not certain": 0.2,
        "Very uncertain": 0.0,
    }
    assert dict(
        zip(ROWS["CERTAINTY_LETTERS"].texts, ROWS["CERTAINTY_LETTERS"].shares, strict=True)
    ) == dict(zip("ABCDEF", (1.0, 0.8, 0.6, 0.4, 0.2, 0.0), strict=True))


@pytest.mark.parametrize("name", ROWS)
def test_shares_run_up_to_certainty(name: str) -> None:
    row = ROWS[name]
    assert row.shares[-1] == 1.0
    assert row.shares[0] == (0.01 if name == "HUNDRED" else 0.0)
    assert all(low < high for low, high in zip(row.shares, row.shares[1:], strict=False))
    assert [row.text(value) for value in row.values] == list(row.texts)


def test_the_choices_for_certainty() -> None:
    for name, text in (("YES_NO", "Yes"), ("ROMAN", "ii"), ("WHICH", "Q1")):
        assert ROWS[name].text(ROWS[name].certain) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((3, 2), 5), "values must ascend"),
        (((1, 1), 5), "values must ascend"),
        (((0, 10), 9), "values must ascend"),
        (((), 1), "values must ascend"),
        (((-1, 1), 1), "must not be negative"),
        (((0,), 0), "positive value"),
        (((0, 1), 1, ("no",)), "one text a value"),
        (((0, 1), 1, ("no", "no")), "no two the same"),
        (((0, 1), 1, ("no", " yes")), "white space"),
        (((0, 1), 1, ("no", "")), "white space"),
    ],
)
def test_what_is_no_scale_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        Scale(*arguments)  # type: ignore[arg-type]


def test_a_value_off_the_scale_has_no_text() -> None:
    with pytest.raises(WorkbenchError, match=r"0\.5 is no value of the scale, which has 0 to 9"):
        ROWS["DIGIT"].text(0.5)
