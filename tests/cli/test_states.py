from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from workbench.api.states import read_recorded
from workbench.cli.app import app


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_file_is_traced_and_probed(tiny_folder: Path, tmp_path: Path) -> None:
    file, states, figures = tmp_path / "p.csv", tmp_path / "states", tmp_path / "figures"
    rows = [f"Number {n} is {'big' if n % 2 else 'low'}.,{n % 2}" for n in range(100)]
    file.write_text("text,big\n" + "\n".join(rows) + "\n")
    traced = call(
        "trace", file, "--column", "text", "--at", "last", "--at", 0, "--model", tiny_folder,
        "--device", "cpu", "--out", states,
    )  # fmt: skip
    assert traced.exit_code == 0, traced.output
    assert "100 prompts, 4 layers, 2 places (last, 0), width 32" in traced.stdout
    recorded = read_recorded(states)
    assert recorded.states.shape == (100, 4, 2, 32)
    assert list(recorded.prompts["big"].astype(int)) == [n % 2 for n in range(100)]
    probed = call(
        "probe", states, "--label", "big", "--folds", 3, "--inner-folds", 2, "--shuffles", 2,
        "--resamples", 100, "--name", "big", "--figures", figures,
    )  # fmt: skip
    assert probed.exit_code == 0, probed.output
    assert "AUROC2" in probed.stdout
    layers = pd.read_csv(figures / "big" / "layers.csv")
    assert len(layers) == 8
    assert {"auroc2", "auroc2_shuffled"} <= set(layers.columns)
    assert (figures / "big" / "index.html").exists()
    assert (figures / "big" / "probes.html").exists()


def test_one_prompt_is_traced(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("trace", "Who is it?", "--at", " is", "--model", tiny_folder, "--device", "cpu")
    assert result.exit_code == 0, result.output
    recorded = read_recorded(tmp_path / "runs" / "states" / "prompt")
    assert recorded.prompts[" is.token"][0].endswith("is")


def test_a_label_there_is_not_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    assert call("trace", "Who?", "--model", tiny_folder, "--device", "cpu",
                "--out", tmp_path / "s").exit_code == 0  # fmt: skip
    result = call("probe", tmp_path / "s", "--label", "tall", "--figures", tmp_path / "f")
    assert result.exit_code != 0
