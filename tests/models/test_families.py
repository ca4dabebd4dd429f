"""Every family that transformers registers, built tiny and verified, against what is recorded.

The record is ``docs/reference/families.json``, made by ``workbench models families --json``; the
page of families is written from it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from workbench.bench.families import inspect_families, inspect_family
from workbench.errors import WorkbenchError

RECORD = Path(__file__).parents[2] / "docs" / "reference" / "families.json"
RECORDED: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
BY_NAME = {row["family"]: row for row in RECORDED["families"]}
STUDIED = (
    "gemma3",
    "gemma3n",
    "gemma3n_text",
    "gemma4",
    "gemma4_text",
    "mistral3",
    "ministral3",
    "olmo3",
    "qwen2_moe",
    "llama4",
    "deepseek_v3",
    "glm4",
    "glm4_moe",
    "phi",
    "phimoe",
    "falcon",
    "opt",
    "gptj",
    "stablelm",
    "starcoder2",
    "nemotron",
    "exaone4",
    "apertus",
)
LOOPED = ("qwen3_5", "bloom", "mpt")

pytestmark = pytest.mark.skipif(
    transformers.__version__ != RECORDED["transformers"],
    reason="the families were recorded with another version of transformers",
)


@pytest.mark.parametrize("family", sorted(BY_NAME))
def test_a_family_can_be_analysed_as_recorded(family: str) -> None:
    found, row = inspect_family(family), BY_NAME[family]
    assert (found.outcome, found.whole) == (row["outcome"], row["whole"])
    assert list(found.lacks) == row["lacks"]
    assert bool(found.why) == (found.outcome != "packed")


def test_most_language_models_load_and_most_of_them_pack() -> None:
    outcomes = [row["outcome"] for row in RECORDED["families"] if not row["whole"]]
    assert outcomes.count("packed") >= 120
    assert outcomes.count("packed") + outcomes.count("loop") >= 140


def test_the_families_that_people_study_are_among_them() -> None:
    assert {BY_NAME[family]["outcome"] for family in STUDIED} == {"packed"}
    assert {BY_NAME[family]["outcome"] for family in LOOPED} == {"loop"}


def test_a_name_that_is_not_registered_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="registers no causal language model family 'lama'"):
        inspect_families(["lama"])
