import pytest

from workbench.errors import WorkbenchError
from workbench.measure.table_file.roles import find_columns


def test_usual_names_in_any_case() -> None:
    found = find_columns(["Question_ID", "Stated_Confidence_Percent", "CORRECT", "condition"], {})
    assert found == {
        "confidence": "Stated_Confidence_Percent",
        "correct": "CORRECT",
        "id": "Question_ID",
    }


def test_given_names_win() -> None:
    found = find_columns(
        ["confidence", "correct", "p", "label"], {"confidence": "p", "correct": "correct"}
    )
    assert found == {"confidence": "p", "correct": "correct"}


def test_a_given_column_has_one_role() -> None:
    with pytest.raises(WorkbenchError, match="no column with whether the answer was right"):
        find_columns(["label", "x"], {"confidence": "label"})


@pytest.mark.parametrize(
    ("names", "given", "message"),
    [
        (
            ["confidence", "stated_confidence", "correct"],
            {},
            "could all be the confidence.*--confidence NAME",
        ),
        (["confidence"], {}, "no column with whether.*--correct NAME.*usual names"),
        (["a", "correct"], {}, "no column with the confidence"),
        (["conf_pct", "correct"], {"confidence": "conf_pc"}, "did you mean 'conf_pct'"),
        ([f"c{i}" for i in range(20)], {}, "and 8 more"),
    ],
)
def test_what_cannot_be_found_is_an_error(
    names: list[str], given: dict[str, str], message: str
) -> None:
    with pytest.raises(WorkbenchError, match=message):
        find_columns(names, given)
