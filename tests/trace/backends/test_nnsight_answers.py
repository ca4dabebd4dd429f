from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import zstandard
from nnsight.intervention.backends.remote import RemoteBackend
from nnsight.schema.response import ResponseModel, Status

from workbench.errors import WorkbenchError
from workbench.trace.backends.nnsight_answers import PlainRemote, plain


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def saved(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool]
)
def test_tensors_in_containers_come_through(dtype: torch.dtype, protocol: int) -> None:
    given = {
        "answers": [
            [torch.arange(6).reshape(2, 3).to(dtype), torch.zeros(0)],
            [None, 1.5, "text", (2, True)],
        ]
    }
    found = plain(saved(given, pickle_protocol=protocol))
    assert found["answers"][1] == given["answers"][1]
    assert torch.equal(found["answers"][0][0], given["answers"][0][0])
    assert found["answers"][0][0].dtype == dtype


@pytest.mark.parametrize("protocol", [2, 4])
def test_code_is_not_run(tmp_path: Path, protocol: int) -> None:
    """The same bytes do run under plain torch.load."""
    content = saved({"answers": [torch.ones(2), Touch(tmp_path / "ran")]}, pickle_protocol=protocol)
    with pytest.raises(WorkbenchError, match=r"names .*none of it was read"):
        plain(content)
    assert not (tmp_path / "ran").exists()
    torch.load(io.BytesIO(content), weights_only=False)
    assert (tmp_path / "ran").exists()


def test_other_files_are_not_read(tmp_path: Path) -> None:
    for content in (
        pickle.dumps(Touch(tmp_path / "ran")),
        saved(Touch(tmp_path / "ran"), _use_new_zipfile_serialization=False),
    ):
        with pytest.raises(WorkbenchError, match=r"not what torch\.save writes"):
            plain(content)
    assert not (tmp_path / "ran").exists()
    script = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), script)
    with pytest.raises(WorkbenchError, match="TorchScript"):
        plain(script.getvalue())


def test_statuses_and_results_are_read_as_nnsight_reads_them(tmp_path: Path) -> None:
    client = PlainRemote("key", host="http://127.0.0.1:1")
    response = ResponseModel(
        id="1", status=Status.COMPLETED, data=b"\x00\xff", meta={"seconds": 0.5}
    )
    assert (
        PlainRemote.parse(response.pickle()) == RemoteBackend.parse(response.pickle()) == response
    )
    assert PlainRemote.parse(response.model_copy(update={"data": None}).model_dump_json()).meta == {
        "seconds": 0.5
    }
    content = saved({"answers": torch.ones(3)})
    client.compress = False
    assert torch.equal(client.finalize(content)["answers"], torch.ones(3))
    client.compress = True
    packed = zstandard.ZstdCompressor().compress(content)
    assert torch.equal(client.finalize(packed)["answers"], torch.ones(3))
    hostile = ResponseModel(
        id="1", status=Status.COMPLETED, meta={"x": Touch(tmp_path / "ran")}
    ).pickle()
    with pytest.raises(WorkbenchError, match="none of it was read"):
        PlainRemote.parse(hostile)
    assert not (tmp_path / "ran").exists()
