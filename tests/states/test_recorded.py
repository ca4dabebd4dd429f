from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.states.layout import Layout
from workbench.states.recorded import RecordedStates, open_states
from workbench.states.writer import StatesWriter

LAYERS, POSITIONS, WIDTH, ROWS = 4, ("end", "said", "asked"), 6, 11
BATCHES = ([3, 9, 0], [7, 1], [2, 4, 5, 6], [10, 8])


def numbers(rows: int = ROWS) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, LAYERS, len(POSITIONS), WIDTH)).astype(np.float32)


def written(folder: Path, dtype: str = "float32") -> tuple[np.ndarray, RecordedStates]:
    states = numbers()
    writer = StatesWriter(folder, Layout(LAYERS, POSITIONS, WIDTH, dtype))
    for number, rows in enumerate(BATCHES):
        writer.write(f"part-{number}", rows, states[rows])
    return states, writer.finish()


CUTS: dict[str, Any] = {
    "all": (),
    "rows": np.array([5, 2, 2, 10]),
    "mask": np.arange(ROWS) % 3 == 0,
    "a question": 4,
    "a layer": (slice(None), 2),
    "layers backwards": (slice(None), np.array([3, 1])),
    "every third layer from the last": (slice(None), slice(None, None, -3)),
    "a position": (slice(2, 8), slice(None), 1),
    "a negative position": (slice(None), slice(None), -1),
    "a site": (slice(None), 3, 0),
    "a further axis": (slice(None), slice(None), None),
    "an ellipsis by hand": (slice(None), slice(1, 3), slice(0, 2)),
}


@pytest.mark.parametrize("name", list(CUTS))
def test_what_is_taken_is_what_numpy_takes(tmp_path: Path, name: str) -> None:
    states, kept = written(tmp_path)
    wanted, found = states[CUTS[name]], kept[CUTS[name]]
    assert (found.shape, found.ndim, len(found)) == (wanted.shape, wanted.ndim, len(wanted))
    np.testing.assert_array_equal(np.asarray(found), wanted)
    assert np.asarray(found, dtype=np.float64).dtype == np.float64


def test_cuts_of_cuts_are_those_of_numpy(tmp_path: Path) -> None:
    states, kept = written(tmp_path)
    rows, layers = np.array([8, 1, 5]), [2, 0]

    def cut(array: Any) -> Any:
        return array[rows][:, layers][:, :, 1][[2, 0]][:, :, None]

    np.testing.assert_array_equal(np.asarray(cut(kept)), cut(states))
    np.testing.assert_array_equal(np.asarray(kept[rows][:, 3, 2]), states[rows][:, 3, 2])
    np.testing.assert_array_equal(
        np.asarray(kept[:, :, 1][:, :, None][:, 2]), states[:, :, 1][:, :, None][:, 2]
    )


def test_a_site_reads_its_own_bytes_and_no_others(tmp_path: Path) -> None:
    """Every other byte of every shard is overwritten, and the site still reads as it was."""
    states, kept = written(tmp_path, "float16")
    piece_of = {shard.file: len(shard.rows) * WIDTH * 2 for shard in kept.folder.shards}
    for file, piece in piece_of.items():
        content = bytearray((tmp_path / file).read_bytes())
        start = len(content) - LAYERS * len(POSITIONS) * piece + (2 * len(POSITIONS) + 1) * piece
        site = content[start : start + piece]
        head = len(content) - LAYERS * len(POSITIONS) * piece
        content[head:] = b"\xff" * (len(content) - head)
        content[start : start + piece] = site
        (tmp_path / file).write_bytes(content)
    site = kept[:, 2, 1]
    assert kept.read_bytes == 0
    np.testing.assert_array_equal(np.asarray(site), states[:, 2, 1].astype(np.float16))
    assert kept.read_bytes == ROWS * WIDTH * 2
    with pytest.raises(WorkbenchError, match=r"layer 2, position 'asked', than were written"):
        np.asarray(kept[:, 2, 2])


def test_one_flipped_bit_is_named_when_it_is_first_read(tmp_path: Path) -> None:
    _, kept = written(tmp_path)
    path = tmp_path / "part-2.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    np.asarray(kept[:, :, :2])
    np.asarray(kept[[3, 9, 7], 3, 2])
    with pytest.raises(WorkbenchError, match=r"part-2.*layer 3, position 'asked'.*delete"):
        np.asarray(kept[[2], 3, 2])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_number_formats_round_as_torch_does(tmp_path: Path, dtype: str) -> None:
    states, kept = written(tmp_path, dtype)
    rounded = torch.from_numpy(states).to(kept.layout.torch_dtype).float().numpy()
    np.testing.assert_array_equal(np.asarray(kept), rounded)


@pytest.mark.parametrize("most", [1, 3, 4, 100])
def test_blocks_hold_every_question_once_and_no_more_than_asked(tmp_path: Path, most: int) -> None:
    states, kept = written(tmp_path)
    rows = np.array([9, 2, 5, 10, 0])
    seen = []
    for at, block in kept[rows][:, 1, 0].blocks(most):
        assert len(at) == len(block) <= most
        np.testing.assert_array_equal(block.numpy(), states[rows[at], 1, 0])
        seen += at.tolist()
    assert sorted(seen) == list(range(len(rows)))
    with pytest.raises(WorkbenchError, match="one layer and position"):
        next(kept[:, 1].blocks(4))


def test_missing_and_shortened_shards_are_named_on_opening(tmp_path: Path) -> None:
    written(tmp_path)
    shard = tmp_path / "part-1.safetensors"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(WorkbenchError, match=r"part-1.*bytes instead of.*record again"):
        open_states(tmp_path, "record again")
    shard.unlink()
    with pytest.raises(WorkbenchError, match=r"part-1.* is missing"):
        open_states(tmp_path, "record again")
    with pytest.raises(WorkbenchError, match=r"manifest.*missing; record again"):
        open_states(tmp_path / "elsewhere", "record again")


def test_wrong_indices_are_refused(tmp_path: Path) -> None:
    _, kept = written(tmp_path)
    with pytest.raises(WorkbenchError, match="whole along their width"):
        kept[0, 0, 0, 0]
    with pytest.raises(IndexError):
        kept[ROWS]
    with pytest.raises(WorkbenchError, match="a list of numbers or a mask"):
        kept[[[0, 1]]]
