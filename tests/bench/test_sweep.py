from __future__ import annotations

from pathlib import Path

import pytest

from workbench.bench import growth
from workbench.bench.libraries import LIBRARIES
from workbench.bench.pyvene_library import pyvene_installed
from workbench.bench.sweep import PARTS, bench_sweep
from workbench.errors import WorkbenchError


def test_a_whole_run_has_every_ratio_and_every_difference(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "TOKENS", (8, 16))
    found = bench_sweep(str(tiny_folder), rows=2, tokens=16, repeats=1)
    values = found.values
    for key in (
        "packed_over_forward",
        "within_over_replace",
        "position_map_over_forward",
        "position_map_loop_over_packed",
        "texts_alone_over_together",
        "record_over_forward",
    ):
        assert values[f"{key}.low"] == values[key] == values[f"{key}.high"] > 0
    for library in LIBRARIES.values():
        if library.present():
            assert values[f"{library.key}_over_packed"] > 0
            assert values[f"packed_vs_{library.key}"] < 1e-4
    assert values["packed_vs_forward"] < 1e-4
    assert values["texts.equal"] == values["texts.alone_measured"] == 6
    if not pyvene_installed():
        assert values["pyvene_over_packed"] is None
        assert any("pip install" in note for note in found.notes)
    assert {
        key: values[key]
        for key in ("rows", "tokens", "layers", "dtype", "repeats", "library_repeats")
    } == {
        "rows": 2,
        "tokens": 16,
        "layers": 4,
        "dtype": "float32",
        "repeats": 1,
        "library_repeats": 1,
    }
    assert values["memory.within_bound"] is True
    assert {point.axis for point in found.points} == {"layers", "tokens", "rows"}


def test_parts_and_peers_can_be_left_out(tiny_folder: Path) -> None:
    found = bench_sweep(
        str(tiny_folder), rows=1, tokens=8, repeats=3, parts=["sweep"], libraries=["loop"]
    )
    assert found.values["packed_over_forward.low"] <= found.values["packed_over_forward"]
    assert {key for key in found.values if key.endswith("_over_packed")} == {"loop_over_packed"}
    assert not found.points
    assert not any(
        key.startswith(("memory", "record", "growth", "position")) for key in found.values
    )


@pytest.mark.parametrize(("parts", "libraries"), [(["sweeps"], []), ([], []), (PARTS, ["nns"])])
def test_unknown_choices_are_refused_before_the_model_is_loaded(
    parts: list[str], libraries: list[str]
) -> None:
    with pytest.raises(WorkbenchError, match="Unknown part or library"):
        bench_sweep("/no/such/model", rows=1, tokens=4, repeats=1, parts=parts, libraries=libraries)
