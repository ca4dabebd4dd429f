from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from workbench.errors import WorkbenchError
from workbench.stream.stored_tensors import stored_tensors, touch_pages

KINDS = {
    "wide": torch.arange(40000, dtype=torch.float32).reshape(200, 200),
    "half": torch.arange(7, dtype=torch.bfloat16),
    "odd": torch.arange(3, dtype=torch.uint8),
    "numbers": torch.arange(5),
    "none": torch.empty(0, 4),
    "one": torch.tensor(2.5),
}


def test_every_tensor_is_mapped_as_it_was_saved(tmp_path: Path) -> None:
    save_file(KINDS, tmp_path / "model.safetensors")
    found = stored_tensors(tmp_path)
    assert set(found) == set(KINDS)
    for name, expected in KINDS.items():
        view = found[name].map()
        assert view.dtype == expected.dtype
        assert found[name].nbytes == expected.numel() * expected.element_size()
        torch.testing.assert_close(view, expected, rtol=0, atol=0)
        touch_pages(view)


def test_an_index_joins_several_files(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "one.safetensors")
    save_file({"b": torch.zeros(3)}, tmp_path / "two.safetensors")
    names = {"a": "one.safetensors", "b": "two.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    found = stored_tensors(tmp_path)
    assert {name: row.path.name for name, row in found.items()} == names
    assert found["a"].map().tolist() == [1, 1]


def test_a_folder_without_such_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"holds neither model\.safetensors nor"):
        stored_tensors(tmp_path)


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(WorkbenchError, match="a does not fit its place"):
        stored_tensors(tmp_path)
    path.write_bytes(b"\xff" * 20)
    with pytest.raises(WorkbenchError, match="header is longer than the file"):
        stored_tensors(tmp_path)


def test_a_dtype_that_nothing_computes_in_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(4).to(torch.float8_e4m3fn)}, tmp_path / "model.safetensors")
    with pytest.raises(WorkbenchError, match="stored as F8_E4M3, which cannot be streamed"):
        stored_tensors(tmp_path)


def test_a_broken_index_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(WorkbenchError, match="names no files of weights"):
        stored_tensors(tmp_path)
