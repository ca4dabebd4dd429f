from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from tests.support.recorded_vllm import write_hidden_states
from workbench.api.prompts import encode_prompts
from workbench.api.states import read_recorded, record_prompts
from workbench.api.vllm_states import take_vllm_states
from workbench.cli.app import app
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.loading.without_weights import open_without_weights
from workbench.models import LanguageModel

PROMPTS = ["Who is it?", "Who is it? Say", "What is 2 + 2?"]
LAYERS = [1, 2, 3, 4]


@pytest.fixture
def lm(tiny_folder: Path) -> LanguageModel:
    return load_model(str(tiny_folder), device="cpu")


@pytest.fixture
def written(lm: LanguageModel, tmp_path: Path) -> Path:
    """Files in another order than the prompts, the first with tokens that were generated after."""
    folder = tmp_path / "written"
    folder.mkdir()
    rows = [list(row) for row in encode_prompts(lm, PROMPTS).rows]
    for name, row in zip("cab", ([*rows[0], 40, 41], rows[1], rows[2]), strict=True):
        write_hidden_states(lm, row, LAYERS, folder / f"{name}.safetensors")
    return folder


def test_states_are_those_of_the_model(
    lm: LanguageModel, tiny_folder: Path, written: Path, tmp_path: Path
) -> None:
    bare = open_without_weights(str(tiny_folder))
    assert {weight.device.type for weight in bare.base().parameters()} == {"meta"}
    found = take_vllm_states(bare, PROMPTS, ["last", 0], written=written, folder=tmp_path / "kept")
    expected = record_prompts(lm, PROMPTS, ["last", 0])
    np.testing.assert_allclose(np.asarray(found.states), expected.states, atol=1e-5)
    assert found.table().equals(expected.table())
    found.save(tmp_path / "kept")
    np.testing.assert_array_equal(read_recorded(tmp_path / "kept").states, found.states)


def test_a_prompt_without_a_file_is_named(lm: LanguageModel, written: Path, tmp_path: Path) -> None:
    asked = [*PROMPTS, "Who is she?"]
    with pytest.raises(
        WorkbenchError, match=r"None of the 3 files .* is of prompt 3 \(\"Who is sh"
    ):
        take_vllm_states(lm, asked, written=written, folder=tmp_path / "kept")
    with pytest.raises(WorkbenchError, match="holds no safetensors files"):
        take_vllm_states(lm, PROMPTS, written=tmp_path / "none", folder=tmp_path / "kept")


def test_files_of_another_model_are_refused(
    lm: LanguageModel, written: Path, tmp_path: Path
) -> None:
    for path in written.iterdir():
        tensors = load_file(path)
        wide = {**tensors, "hidden_states": tensors["hidden_states"].repeat(1, 1, 2)}
        save_file(wide, path)
    with pytest.raises(WorkbenchError, match=r"64 wide, and those of .* are 32 wide"):
        take_vllm_states(lm, PROMPTS, written=written, folder=tmp_path / "kept")
    for path in written.iterdir():
        tensors = load_file(path)
        some = {**tensors, "hidden_states": tensors["hidden_states"][:, 1:, :32].contiguous()}
        save_file(some, path)
    with pytest.raises(WorkbenchError, match="record its layers 1 to 4"):
        take_vllm_states(lm, PROMPTS, written=written, folder=tmp_path / "kept")
    next(written.iterdir()).write_bytes(b"none")
    with pytest.raises(WorkbenchError, match="cannot be read"):
        take_vllm_states(lm, PROMPTS, written=written, folder=tmp_path / "kept")


def test_the_command_takes_them(
    tiny_folder: Path, written: Path, tmp_path: Path, lm: LanguageModel
) -> None:
    table = tmp_path / "prompts.csv"
    table.write_text("prompt,right\n" + "".join(f"{text},yes\n" for text in PROMPTS))
    out = tmp_path / "states"
    words = ["trace", str(table), "--model", str(tiny_folder), "--vllm-files", str(written)]
    result = CliRunner().invoke(app, [*words, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "3 prompts, 4 layers, 1 places (last), width 32" in result.stdout
    kept = read_recorded(out)
    np.testing.assert_allclose(
        np.asarray(kept.states), record_prompts(lm, PROMPTS).states, atol=1e-5
    )
    assert kept.table()["right"].tolist() == ["yes"] * 3
