from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.files.writing import TEMPORARY
from workbench.states.layout import Layout
from workbench.states.names import MANIFEST
from workbench.states.writer import StatesWriter

LAYOUT = Layout(3, ("end", "said"), 5, "float32")
STATES = np.arange(8 * 3 * 2 * 5, dtype=np.float32).reshape(8, 3, 2, 5)


def write(folder: Path, parts: int) -> StatesWriter:
    writer = StatesWriter(folder, LAYOUT)
    for part in range(parts):
        rows = [2 * part, 2 * part + 1]
        if not writer.holds(str(part), rows):
            writer.write(str(part), rows, STATES[rows])
    return writer


def test_the_manifest_says_where_every_question_is(tmp_path: Path) -> None:
    write(tmp_path, 4)
    head, *shards = map(json.loads, (tmp_path / MANIFEST).read_text().splitlines())
    assert head["positions"] == ["end", "said"]
    assert [shard["rows"] for shard in shards] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    for shard in shards:
        assert (tmp_path / shard["file"]).stat().st_size == shard["size"]
        assert np.shape(shard["crc32"]) == (3, 2)


def test_finished_shards_stay_and_a_half_written_one_is_discarded(tmp_path: Path) -> None:
    write(tmp_path, 2)
    first = (tmp_path / "0.safetensors").stat().st_mtime_ns
    half = tmp_path / f".123{TEMPORARY}"
    half.write_bytes(b"half a shard")
    # Renamed, and killed before its line was whole.
    (tmp_path / "2.safetensors").write_bytes(b"a shard without its line")
    with (tmp_path / MANIFEST).open("a") as file:
        file.write('{"file":"2.safetensors","size":24,"ro')
    writer = StatesWriter(tmp_path, LAYOUT)
    assert [writer.holds(str(part), [2 * part, 2 * part + 1]) for part in range(3)] == [
        True,
        True,
        False,
    ]
    kept = write(tmp_path, 4).finish()
    np.testing.assert_array_equal(np.asarray(kept), STATES)
    assert (tmp_path / "0.safetensors").stat().st_mtime_ns == first
    assert not half.exists()


def test_a_damaged_shard_counts_as_not_written(tmp_path: Path) -> None:
    write(tmp_path, 3)
    path = tmp_path / "1.safetensors"
    content = bytearray(path.read_bytes())
    content[-7] ^= 4
    path.write_bytes(content)
    (tmp_path / "2.safetensors").unlink()
    writer = StatesWriter(tmp_path, LAYOUT)
    assert writer.holds("0", [0, 1])
    assert not writer.holds("1", [2, 3])
    assert not writer.holds("2", [4, 5])
    assert not writer.holds("0", [1, 0])
    np.testing.assert_array_equal(np.asarray(write(tmp_path, 4).finish()), STATES)


def test_states_of_another_layout_are_removed(tmp_path: Path) -> None:
    write(tmp_path, 4)
    writer = StatesWriter(tmp_path, Layout(3, ("end", "said"), 5, "float16"))
    assert not writer.holds("0", [0, 1])
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_kill_between_shard_and_manifest_loses_that_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = write(tmp_path, 1)

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.states.writer.append_shard", kill)
    with pytest.raises(KeyboardInterrupt):
        writer.write("1", [2, 3], STATES[2:4])
    again = StatesWriter(tmp_path, LAYOUT)
    assert again.holds("0", [0, 1])
    assert not again.holds("1", [2, 3])


def test_mistakes_are_named(tmp_path: Path) -> None:
    writer = write(tmp_path, 1)
    with pytest.raises(WorkbenchError, match="as many different questions"):
        writer.write("1", [2, 2], STATES[2:4])
    with pytest.raises(WorkbenchError, match="a shard takes"):
        writer.write("1", [2, 3], STATES[2:4, :2])
    writer.write("1", [1, 2], STATES[1:3])
    with pytest.raises(WorkbenchError, match="question 1 twice"):
        writer.finish()


def test_what_a_number_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    writer = StatesWriter(tmp_path, Layout(3, ("end", "said"), 5, "float16"))
    with pytest.raises(WorkbenchError, match=r"reach 1e\+05, beyond what float16 holds"):
        writer.write("0", [0], np.full((1, 3, 2, 5), 1e5, dtype=np.float32))
    broken = STATES[:2].copy()
    broken[1, 2, 0, 3] = np.nan
    with pytest.raises(WorkbenchError, match="row 1 at layer 2, position 'end', feature 3 is nan"):
        writer.write("0", [0, 1], broken)
    with pytest.raises(WorkbenchError, match="'float8'"):
        Layout(1, ("end",), 1, "float8")
    with pytest.raises(WorkbenchError, match="no axis may be empty"):
        Layout(1, (), 1, "float16")
