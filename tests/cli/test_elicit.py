from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from tests.support.thinking import build_thinker
from tests.support.tiny_models import build_tiny
from workbench.cli.app import app
from workbench.elicit.formats import FORMATS, described
from workbench.models import LanguageModel


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def asked(inputs: Any, name: str, out: Path, *more: object) -> Result:
    options = (
        "--model",
        inputs.model,
        "--questions",
        inputs.questions,
        "--limit",
        16,
        "--answer-tokens",
        6,
    )
    return call(
        "elicit", name, *options, "--device", "cpu", "--resamples", 100, "--out", out, *more
    )


@pytest.mark.parametrize(
    ("name", "ending", "precision"),
    [("percent", "csv", "float32"), ("words-one-turn", "parquet", "bfloat16")],
)
def test_a_table_and_its_summary(
    loop_inputs: Any, tmp_path: Path, name: str, ending: str, precision: str
) -> None:
    out = tmp_path / "deep" / f"table.{ending}"
    result = asked(loop_inputs, name, out, "--precision", precision)
    assert result.exit_code == 0, result.stderr
    table = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    assert len(table) == 16
    assert set(table["format"]) == {name}
    assert {
        "id",
        "domain",
        "answer",
        "stated",
        "expected",
        "mass",
        "mode",
        "correct",
    } <= set(table.columns)
    for words in ("AUROC2", "ECE", "parse rate", "mass"):
        assert words in result.stdout
    assert f"Table: {out}" in result.stderr.replace("\n", "")


def test_what_is_written_can_be_measured(loop_inputs: Any, tmp_path: Path) -> None:
    out = tmp_path / "table.parquet"
    assert asked(loop_inputs, "percent", out).exit_code == 0
    result = call(
        "measure", out, "--confidence", "expected", "--resamples", 20, "--no-figures", "--json"
    )
    assert result.exit_code == 0, result.stderr
    assert '"n": 16' in result.stdout


def save(lm: LanguageModel, folder: Path) -> Path:
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder


def test_a_model_that_thinks(loop_inputs: Any, tmp_path: Path) -> None:
    """Its truncated thoughts are counted beside what could not be graded."""
    out = tmp_path / "table.parquet"
    thinker = save(build_thinker(closing=4.0), tmp_path / "model")
    options = ("--model", thinker, "--thinking", "on", "--thinking-tokens", 12)
    result = asked(loop_inputs, "percent", out, *options, "--thinking-history", "kept")
    assert result.exit_code == 0, result.stderr
    table = pd.read_parquet(out)
    cut = table["thought_truncated"]
    assert 0 < cut.sum() < 16
    assert table["correct"].isna().tolist() == cut.tolist()
    counted = result.stdout.partition("truncated thoughts")[2].splitlines()[1]
    assert float(counted.split()[-1]) == cut.sum()


@pytest.mark.parametrize("name", ["digit-one-turn", "pairwise"])
def test_a_base_model_is_asked_in_plain_text(loop_inputs: Any, tmp_path: Path, name: str) -> None:
    lm = build_tiny(max_position_embeddings=2048)
    lm.tokenizer.chat_template = None
    folder, out = save(lm, tmp_path / "model"), tmp_path / "table.parquet"
    result = asked(loop_inputs, name, out, "--model", folder)
    assert "ask it in plain text (--set elicit.template=plain)" in " ".join(result.stderr.split())
    result = asked(loop_inputs, name, out, "--model", folder, "--template", "plain")
    assert len(pd.read_parquet(out)) == 16, result.stderr


def test_pairs(loop_inputs: Any, tmp_path: Path) -> None:
    out = tmp_path / "pairs.parquet"
    result = asked(loop_inputs, "pairwise", out)
    assert result.exit_code == 0, result.stderr
    table = pd.read_parquet(out)
    assert len(table) == 16
    assert {"q1", "q2", "p_first", "p_first_swapped", "combined", "consistent"} <= set(
        table.columns
    )
    assert "swap consistency" in result.stdout


def test_formats_are_listed() -> None:
    result = call("formats")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(FORMATS)
    assert all(
        line.endswith(described(row)) for line, row in zip(lines, FORMATS.values(), strict=True)
    )
    full = call("formats", "--full").stdout
    assert "How confident are you that this answer is correct, from 0% to 100%?" in full


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("elicit", "tarot"), "Unknown elicitation format 'tarot'; choose one of"),
        (("elicit", "percent", "--out", "table.xlsx"), "written as .csv or .parquet"),
        (
            ("elicit", "percent", "--precision", "half"),
            "unknown precision 'half': use one of auto, float32, bfloat16",
        ),
        (("elicit", "percent", "--questions", "nowhere.jsonl"), "nowhere.jsonl"),
        (("elicit", "percent-first", "--thinking", "on"), "has the confidence there; set elicit"),
        (("elicit", "percent", "--template", "bare"), "elicit.template'"),
        (("elicit", "percent", "--limit", 2, "--thinking", "on"), "has no thoughts: choose a"),
    ],
)
def test_mistakes_are_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert message in " ".join(result.stderr.split())


def test_the_command_line_starts_without_model_libraries() -> None:
    code = (
        "import sys, workbench.cli.app; print(*sorted({'torch', 'transformers', 'peft', 'pandas'} "
        "& set(sys.modules)))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        == []
    )
