from workbench.experiments.recipes.results import columns_of, part_tables
from workbench.loop.tables import COLUMNS, cell, table_rows

SUMMARY = {
    "ece.text.log": 0.125,
    "ece.text.log.low": 0.1,
    "ece.text.log.high": 0.25,
    "training.tokens.log": 12345,
    "seconds.training.log": 61.4,
    "own.ece.expected.log": 0.5,
    "out_of_domain.questions": 33,
    "out_of_domain.accuracy": 0.25,
    "out_of_domain.accuracy.low": 0.1,
    "out_of_domain.accuracy.high": 0.5,
    "out_of_domain.ece.text.before": 0.75,
}


def test_a_cell_has_its_interval_or_unit_and_is_empty_without_a_value() -> None:
    found = [
        cell(SUMMARY, key)
        for key in ("ece.text.log", "training.tokens.log", "seconds.training.log", "ece.text.x")
    ]
    assert found == ["0.125\n[0.100, 0.250]", "12,345", "61 s", ""]


def test_columns_of_some_recipes_stand_behind_those_of_all() -> None:
    assert list(columns_of(SUMMARY)) == [*COLUMNS, "own ECE expected"]
    (row,) = table_rows(["log"], SUMMARY, columns_of(SUMMARY))
    assert {head: text for head, text in row.items() if text} == {
        "arm": "log",
        "ECE text": "0.125\n[0.100, 0.250]",
        "training tokens": "12,345",
        "seconds": "61 s",
        "own ECE expected": "0.500",
    }


def test_a_part_has_a_table_where_it_was_measured() -> None:
    assert part_tables(iter(["before", "log"]), SUMMARY) == [
        (
            "Domains that were not: 33 held-out questions, accuracy 0.250 [0.100, 0.500]",
            [
                {"arm": "before", "ECE text": "0.750", "accuracy": ""},
                {"arm": "log", "ECE text": "", "accuracy": ""},
            ],
        )
    ]
