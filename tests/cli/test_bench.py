from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from workbench.bench import product_rate
from workbench.cli.app import app


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bench", "sweep", *map(str, arguments)])


def small(folder: Path, *arguments: object) -> tuple[Any, ...]:
    sizes = (
        "--rows",
        2,
        "--tokens",
        16,
        "--repeats",
        1,
        "--parts",
        "sweep,record",
        "--compare-with",
        "loop",
    )
    return "--model", folder, *sizes, *arguments


def test_the_keys_as_json(tiny_folder: Path) -> None:
    result = call(*small(tiny_folder, "--json", "--no-figures", "--precision", "bfloat16"))
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (
        found["packed_over_forward"]
        == found["packed_over_forward.low"]
        == found["packed_over_forward.high"]
        > 0
    )
    assert found["loop_over_packed"] > 0
    assert found["packed_vs_loop"] < 0.2
    assert found["precision"] == "bfloat16"
    assert (found["rows"], found["tokens"], found["layers"]) == (2, 16, 4)


def test_a_table_and_a_page(tiny_folder: Path, tmp_path: Path) -> None:
    result = call(*small(tiny_folder, "--figures", tmp_path))
    assert result.exit_code == 0
    assert "precision\tfloat32" in result.stdout
    assert "loop of hooked forwards / packed" in result.stdout
    assert "packed_over_forward\t" in result.stdout
    assert (tmp_path / "bench_sweep" / "index.html").exists()
    assert "packed_over_forward," in (tmp_path / "bench_sweep" / "table.csv").read_text()


@pytest.mark.parametrize("option", ["--rows", "--tokens", "--repeats", "--library-repeats"])
def test_nothing_to_measure_is_refused(option: str) -> None:
    result = call(option, 0)
    assert result.exit_code == 2
    assert option in result.stderr


def test_an_unknown_part_is_one_sentence() -> None:
    result = call("--parts", "sweeps")
    assert result.exit_code == 2
    assert "Unknown part or library 'sweeps'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_runs_time_as_json_and_as_a_page(
    finished_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product_rate, "LEAST_SECONDS", 0.01)

    def call_run(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["bench", "run", *map(str, arguments)])

    folders = ("--runs", finished_run.folder.parent, "--figures", tmp_path)
    result = call_run(finished_run.folder.name, *folders, "--json", "--no-figures")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["patch.seconds"] == finished_run.summary["seconds.patch"]
    assert found["patch.over_floor"] > 0
    assert not list(tmp_path.iterdir())
    result = call_run(finished_run.folder.name, *folders)
    assert "no products" in result.stdout
    assert (tmp_path / "bench_run" / "index.html").exists()
    assert call_run("absent", *folders).exit_code != 0


def test_a_small_study_of_intervals(tmp_path: Path) -> None:
    arguments = ["--tables", "2", "--sizes", "60", "--laws", "ceiling", "--measures", "auroc2,ece"]
    result = CliRunner().invoke(app, ["bench", "coverage", *arguments, "--figures", str(tmp_path)])
    assert result.exit_code == 0
    assert "worst law" in result.stdout
    assert (tmp_path / "bench_coverage" / "index.html").exists()
    result = CliRunner().invoke(app, ["bench", "coverage", *arguments, "--json", "--no-figures"])
    cells = json.loads(result.stdout)["cells"]
    assert [(cell["law"], cell["measure"], cell["tables"]) for cell in cells] == [
        ("ceiling", "auroc2", 2),
        ("ceiling", "ece", 2),
    ]
    wrong = CliRunner().invoke(app, ["bench", "coverage", "--sizes", "few"])
    assert wrong.exit_code != 0
    assert "whole numbers from 10" in wrong.stderr


def test_a_small_study_of_the_bottlenecks_verdict(tmp_path: Path) -> None:
    sizes = ("--worlds", "0", "--nulls", "1")
    result = CliRunner().invoke(
        app, ["bench", "bottleneck", *sizes, "--json", "--figures", str(tmp_path)]
    )
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [row["n"] for row in rows] == [1, 1]
    assert (tmp_path / "bench_bottleneck" / "index.html").exists()


def test_bench_probes_prints_its_table_and_refuses_words_for_numbers(tmp_path: Path) -> None:
    small = ["--rows", "60", "--width", "16", "--strengths", "2", "--sampled-sites", "1"]
    sizes = ["--growth-rows", "60", "--growth-widths", "16"]
    command = ["bench", "probes", *small, *sizes, "--figures", str(tmp_path)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "scikit-learn / ours, clock" in result.output
    assert (tmp_path / "bench_probes" / "index.html").exists()
    result = CliRunner().invoke(app, [*command, "--parts", "goal", "--json", "--no-figures"])
    assert json.loads(result.stdout)["growth"] == []
    wrong = CliRunner().invoke(app, ["bench", "probes", "--growth-rows", "many", "--no-figures"])
    assert wrong.exit_code == 2
    assert "takes whole numbers" in wrong.output
