from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from workbench.experiments.calibration.metrics import (
    AUROC2,
    ECE,
    MEAN,
    POOLED,
    TEMPERED,
    Measurement,
    ablations_table,
)
from workbench.experiments.calibration.page import (
    ablations_page,
    label_curve,
    rows_of,
    sections,
)
from workbench.measure import Estimate
from workbench.report import write_page


def line(
    ablation: str, judge: str, condition: str, measure: str, value: float, labels: int = 0
) -> Measurement:
    return Measurement(
        ablation, judge, condition, measure, Estimate(value, value - 0.1, value + 0.1, 40), labels
    )


@pytest.fixture
def lines() -> list[Measurement]:
    out = []
    for measure in (AUROC2, ECE, TEMPERED):
        out += [
            line("labels", "before", "no labels", measure, 0.5),
            line("labels", "lora-prompt", "100 % of the labels", measure, 0.7, 300),
            line("labels", "lora-prompt", "25 % of the labels", measure, 0.6, 75),
            line("labels", "head", "100 % of the labels", measure, 0.65, 300),
            line("labels", "lora-prompt-free", "100 % of the labels", measure, 0.7, 300),
            line("labels", "embeddings", "100 % of the labels", measure, 0.55, 300),
            line("divergence", "lora-prompt", "with - without", measure, -0.2, 300),
        ]
    out += [line("swapped", "before", f"{whose} answer", MEAN, 0.4) for whose in ("own", "swapped")]
    return out


def test_curves_rise_with_labels_and_the_untaught_lie_across(lines: list[Measurement]) -> None:
    drawn = label_curve(lines, "c")
    assert [panel.measure for panel in drawn.panels] == [AUROC2, ECE, TEMPERED]
    panel = drawn.panels[0]
    assert {name: [point.labels for point in points] for name, points in panel.curves.items()} == {
        "lora-prompt": [75, 300],
        "head": [300],
    }
    assert {name: one.value for name, one in panel.references.items()} == {
        "before": 0.5,
        "embeddings": 0.55,
    }


def test_a_row_a_judge_and_condition_with_the_measures_there_are(lines: list[Measurement]) -> None:
    rows = rows_of([each for each in lines if each.ablation == "swapped"])
    assert rows == [
        {
            "judge": "before",
            "condition": f"{whose} answer",
            "labels": "none",
            MEAN: "0.400\n[0.300, 0.500]",
        }
        for whose in ("own", "swapped")
    ]
    mixed = rows_of([line("x", "a", "c", ECE, 0.4, 1200), line("x", "b", "c", POOLED, 0.6)])
    assert [row["labels"] for row in mixed] == ["1,200", "none"]
    assert (mixed[0][POOLED], mixed[1][ECE]) == ("", "")


def test_figures_are_drawn_for_what_was_measured_alone(lines: list[Measurement]) -> None:
    assert [section.name for section in sections(lines, "c")] == [
        "labels",
        "divergence",
        "swapped_mean",
    ]
    pull = sections(lines, "c")[1].figure
    assert list(pull.layout.yaxis.ticktext) == [AUROC2, ECE, TEMPERED]


def test_page_table_and_what_was_left_out(lines: list[Measurement], tmp_path: Path) -> None:
    left_out = {"other-answers": "none were <given>"}
    made = ablations_page(lines, left_out, {"seed": 0}, sections(lines, "c"))
    page = write_page(made, tmp_path)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "ablations.parquet"), ablations_table(lines)
    )
    text = page.read_text()
    assert "none were &lt;given&gt;" in text
    assert "Another model" not in text
    assert "What the question alone tells" in text
    assert {row["ablation"] for row in made.narrow[0][1]} == {"labels", "divergence", "swapped"}


def test_files_of_numbers_hold_numbers_and_no_text_of_them(
    lines: list[Measurement], tmp_path: Path
) -> None:
    write_page(ablations_page(lines, {"forms": "why"}, {"seed": 0}, sections(lines, "c")), tmp_path)
    kept = json.loads((tmp_path / "ablations.json").read_text())
    assert list(kept) == ["code", "configuration", "lines", "left out"]
    assert kept["lines"] == ablations_table(lines).to_dict("records")
    for one in kept["lines"]:
        numbers = [one[name] for name in ("value", "low", "high", "questions", "labels")]
        assert all(isinstance(number, int | float) for number in numbers)
