from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.recorded_vllm import write_hidden_states
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.states.vllm_files import import_vllm_states
from workbench.trace.record import record_states

PROMPTS = [[5, 6, 7, 8], [9, 10, 11], [30, 31, 32, 33, 34]]
ENDS = [[3], [2], [4]]


@pytest.fixture
def files(tiny_lm: LanguageModel, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for prompt, path in zip(PROMPTS, paths, strict=True):
        write_hidden_states(tiny_lm, prompt, [2, 4], path)
    return paths


def test_layers_are_numbered_as_here(
    tiny_lm: LanguageModel, files: list[Path], tmp_path: Path
) -> None:
    """vLLM's layers 2 and 4 are what leaves our layers 1 and 3, the last before the final norm."""
    found = import_vllm_states(files, PROMPTS, ENDS, [2, 4], tmp_path / "kept", names=("end",))
    assert found.layers == (1, 3)
    assert found.states.layout.positions == ("end",)
    expected = record_states(tiny_lm, PROMPTS, ENDS)[:, [1, 3]].numpy()
    np.testing.assert_allclose(np.asarray(found.states), expected, atol=1e-4)
    normed = tiny_lm.final_norm()(torch.as_tensor(expected[:, 1])).numpy()
    assert np.abs(np.asarray(found.states)[:, 1] - normed).max() > 0.1


def test_whole_shards_are_gone_on_from(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.states.vllm_files.PROMPTS_PER_SHARD", 2)
    whole = np.asarray(import_vllm_states(files, PROMPTS, ENDS, [2, 4], tmp_path / "kept").states)
    files[1].unlink()
    (tmp_path / "kept" / "vllm-00001.safetensors").unlink()
    again = import_vllm_states(files, PROMPTS, ENDS, [2, 4], tmp_path / "kept")
    np.testing.assert_array_equal(np.asarray(again.states), whole)


def test_a_file_of_another_prompt_is_refused(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"not of this prompt: they differ from token 2 on"):
        import_vllm_states(files, [[5, 6, 9, 8], *PROMPTS[1:]], ENDS, [2, 4], tmp_path / "kept")
    longer = [PROMPTS[0], [9, 10, 11, 12], PROMPTS[2]]
    with pytest.raises(WorkbenchError, match="not of this prompt: they differ from token 3 on"):
        import_vllm_states(files, longer, ENDS, [2, 4], tmp_path / "kept")


def test_generated_tokens_after_the_prompt_are_left_out(files: list[Path], tmp_path: Path) -> None:
    shorter = [PROMPTS[0][:2], *PROMPTS[1:]]
    found = import_vllm_states(files, shorter, [[1], [2], [4]], [2, 4], tmp_path / "kept")
    whole = load_file(files[0])["hidden_states"][1]
    np.testing.assert_array_equal(np.asarray(found.states)[0, :, 0], whole.numpy())


@pytest.mark.parametrize("layers", [[0, 2], [4, 2], [2, 2], []])
def test_layers_that_are_none_are_refused(
    files: list[Path], tmp_path: Path, layers: list[int]
) -> None:
    with pytest.raises(WorkbenchError, match="its layer 0 is the embeddings"):
        import_vllm_states(files, PROMPTS, ENDS, layers, tmp_path / "kept")


def test_other_files_are_refused(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"and 3 layers were asked for"):
        import_vllm_states(files, PROMPTS, ENDS, [1, 2, 3], tmp_path / "kept")
    with pytest.raises(WorkbenchError, match="not all in a prompt of 4 tokens"):
        import_vllm_states(files, PROMPTS, [[4], [2], [4]], [2, 4], tmp_path / "kept")
    files[2].write_bytes(b"none")
    with pytest.raises(WorkbenchError, match=r"cannot be read.*record these prompts"):
        import_vllm_states(files, PROMPTS, ENDS, [2, 4], tmp_path / "kept")
    save_file(
        {
            "hidden_states": torch.zeros((5, 2, 32), dtype=torch.float64),
            "token_ids": torch.arange(5),
        },
        files[2],
    )
    with pytest.raises(WorkbenchError, match=r"torch\.float64"):
        import_vllm_states(files, [*PROMPTS[:2], [0, 1, 2, 3, 4]], ENDS, [2, 4], tmp_path / "kept")
    with pytest.raises(WorkbenchError, match="there must be one"):
        import_vllm_states([], [], [], [2, 4], tmp_path / "kept")
