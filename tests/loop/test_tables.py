from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.experiments.recipes.results import columns_of, part_tables
from workbench.loop.conditions import BEFORE, Condition, Key, Measures
from workbench.loop.tables import COLUMNS, TRAINING_SECONDS, cell, measures_table, table_rows
from workbench.measure import Estimate

LOG = Condition("log")
TOKENS = Key("tokens", part="training", condition=LOG)
MEASURES: Measures = {
    Key("ece", "stated", LOG): Estimate(0.125, 0.1, 0.25, 40),
    TOKENS: 12345,
    TRAINING_SECONDS.of(LOG): 61.4,
    Key("ece", "expected", LOG, part="own_answers"): 0.5,
    Key("questions", part="out_of_domain"): 33,
    Key("accuracy", part="out_of_domain"): Estimate(0.25, 0.1, 0.5, 33),
    Key("ece", "stated", BEFORE, part="out_of_domain"): 0.75,
}


def test_a_cell_has_its_interval_or_unit_and_is_empty_without_a_value() -> None:
    keys = (
        Key("ece", "stated", LOG),
        TOKENS,
        TRAINING_SECONDS.of(LOG),
        Key("ece", "stated", BEFORE),
    )
    assert [cell(MEASURES, key) for key in keys] == [
        "0.125\n[0.100, 0.250]",
        "12,345",
        "61 s",
        "",
    ]


def test_every_column_has_a_heading_that_no_blank_or_case_makes_different() -> None:
    """A model card names its lines by these headings: one that only a blank tells from another
    would take its place.
    """
    plain = ["".join(heading.split()).lower() for heading in COLUMNS]
    assert len(set(plain)) == len(COLUMNS) == 13
    assert len(set(COLUMNS.values())) == len(COLUMNS)


def test_columns_of_some_recipes_stand_behind_those_of_all() -> None:
    assert list(columns_of(MEASURES)) == [*COLUMNS, "own ECE expected"]
    (row,) = table_rows([LOG], MEASURES, columns_of(MEASURES))
    assert {head: text for head, text in row.items() if text} == {
        "arm": "log",
        "ECE stated": "0.125\n[0.100, 0.250]",
        "training tokens": "12,345",
        "seconds": "61 s",
        "own ECE expected": "0.500",
    }


def test_a_part_has_a_table_where_it_was_measured() -> None:
    assert part_tables(iter([BEFORE, LOG]), MEASURES) == [
        (
            "Domains that were not: 33 held-out questions, accuracy 0.250 [0.100, 0.500]",
            [{"arm": "before", "ECE stated": "0.750"}, {"arm": "log", "ECE stated": ""}],
        )
    ]


def test_the_tidy_table_has_a_row_for_every_number() -> None:
    table = measures_table({**MEASURES, Key("tier", "stated", LOG): "Valid"})
    assert len(table) == len(MEASURES)
    ece = table.query("condition == 'log' and readout == 'stated'").iloc[0]
    assert [*ece[["measure", "value", "low", "high", "n"]]] == ["ece", 0.125, 0.1, 0.25, 40]
    tokens = table.query("part == 'training' and measure == 'tokens'").iloc[0]
    assert (tokens["value"], tokens["condition"], pd.isna(tokens["n"])) == (12345, "log", True)
    assert np.isnan(tokens["low"])
