import numpy as np
import pandas as pd
import pytest

from workbench.errors import WorkbenchError
from workbench.measure.table_file.parse import confidences, grades, texts


def read(
    values: list[object], name: str = "confidence", scale: float | None = None
) -> tuple[list[float], float, str]:
    found = confidences(pd.Series(values, dtype=object), name, scale)
    return found.values.tolist(), found.scale, " ".join(found.notes)


def test_the_scale_is_found_and_said() -> None:
    assert read(["0.5", "1"])[1:] == (1.0, "column 'confidence' is read as 0-1.")
    values, scale, note = read(["50", "100"])
    assert (values, scale) == ([0.5, 1.0], 100)
    assert "0-100" in note
    assert read(["50", "0"], name="stated_confidence_percent")[0] == [0.5, 0.0]
    assert read(["95%", "5 %"])[0] == [0.95, 0.05]


def test_a_scale_of_ten_is_doubted_and_can_be_given() -> None:
    assert "needs --scale 10" in read(["7", "9"])[2]
    assert read(["7", "10"], scale=10)[0] == [0.7, 1.0]


def test_missing_is_unparsed_and_text_is_reported() -> None:
    values, _, note = read(["0.5", "", "NaN", None, "very sure", "none", "1_0"])
    assert np.isnan(values[1:]).all()
    assert "2 replies" in note
    assert "'very sure'" in note
    assert np.isnan(read([True, 0.5])[0][0])


def test_numbers_of_a_typed_file() -> None:
    found = confidences(pd.Series([0.25, np.nan]), "p", None)
    assert np.array_equal(found.values, [0.25, np.nan], equal_nan=True)
    assert confidences(pd.Series([25, 50]), "p", None).values.tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("values", "scale", "message"),
    [
        (["50", "101"], None, "row 2: the confidence 101 lies outside 0-100"),
        (["0.5", "-0.1"], None, "row 2: the confidence -0.1 lies outside 0-1 "),
        (["0.5", "inf"], None, "row 2: the confidence is infinite"),
        (["0.5", "0.9", "0.8", "90"], None, "mixes 0-1 and 0-100.*row 4 holds 90"),
        (["0.5", "1.5"], 1, "outside 0-1"),
        (["0.5"], 0, "above 0"),
        ([["a"]], None, "lists or objects"),
    ],
)
def test_what_lies_outside_is_an_error(
    values: list[object], scale: float | None, message: str
) -> None:
    with pytest.raises(WorkbenchError, match=message):
        read(values, scale=scale)


@pytest.mark.parametrize(
    "values",
    [["1", "0"], [True, False], ["Yes", " no "], [1.0, 0.0], ["correct", "incorrect"], ["T", "f"]],
)
def test_grades_in_many_words(values: list[object]) -> None:
    assert grades(pd.Series(values, dtype=object), "correct").tolist() == [True, False]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "", ""], r"row 2: the grade is missing \(2 such\)"),
        ([1.0, np.nan], "row 2: the grade is missing"),
        (["1", "0", "0.5"], "row 3: the grade is '0.5', neither right"),
    ],
)
def test_a_grade_that_is_none_is_an_error(values: list[object], message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        grades(pd.Series(values, dtype=object), "correct")


def test_labels_are_text() -> None:
    assert texts(pd.Series([1.0, 2.5, None], dtype=object), "g").tolist() == [
        "1",
        "2.5",
        "(missing)",
    ]
    assert texts(pd.Series(["NA", ""]), "g").tolist() == ["NA", "(missing)"]
