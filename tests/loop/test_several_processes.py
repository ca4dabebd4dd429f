"""A whole run in two processes, from the first stage to the page, killed in the middle and started
again, is the run of one process: split by ``torchrun``, and taught with the weights shared out by
``accelerate launch`` (gloo, on a processor).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.support.launched import FSDP, TORCHRUN, kill_first_process, start
from tests.support.runs import FinishedRun
from workbench.config import dump_config
from workbench.loop import run_loop
from workbench.pipeline.stages import Reuse

SHARDED = Path(__file__).with_name("sharded_run.py")
TOLERANCE = 1e-4
LOOSE = {"log.parquet": 1e-3, "probe.safetensors": 1e-3, "patching.parquet": 1e-3}
"""Files of sums, of coefficients that only their products fix, and of ends of ratios' intervals."""


def differences(one: Path, other: Path, *, without: str = "") -> list[str]:
    """Name what lies in a run's tables and arrays further apart than rounding, those of the stage
    ``without`` left out.
    """
    found: list[str] = []
    names, theirs = (
        {
            path.relative_to(run)
            for path in run.rglob("*.*")
            if path.is_file() and path.relative_to(run).parts[0] != without
        }
        for run in (one, other)
    )
    assert names == theirs
    for name in sorted(names):
        near = LOOSE.get(name.name, TOLERANCE)
        if name.suffix == ".parquet":
            first, second = (pd.read_parquet(place / name) for place in (one, other))
            assert first.shape == second.shape, name
            for column in first:
                a, b = first[column], second[column]
                if pd.api.types.is_float_dtype(a):
                    same = np.allclose(a, b, rtol=near, atol=near, equal_nan=True)
                else:
                    same = a.astype(str).equals(b.astype(str))
                found += [] if same else [f"{name} {column}"]
        elif name.suffix == ".safetensors":
            arrays, others = (load_file(place / name) for place in (one, other))
            found += [
                f"{name} {key}"
                for key, array in arrays.items()
                if not np.allclose(array, others[key], rtol=near, atol=near, equal_nan=True)
            ]
    return found


def run_killed_in_between(
    launcher: Sequence[str], words: Sequence[object], run: Path, wanted: str
) -> str:
    """Run, kill the first process once there is a file of the pattern ``wanted``, and run again;
    return what is said then.
    """
    kill_first_process(start(launcher, words, run.parent / "killed.txt"), run, wanted)
    assert not (run / "summary.json").exists()
    said = run.parent / "resumed.txt"
    assert start(launcher, words, said).wait(300) == 0, said.read_text()[-3000:]
    return said.read_text()


def copies_left() -> set[Path]:
    """Return the copies of a run that its processes took and did not remove."""
    return {*Path(tempfile.gettempdir()).glob("workbench-process-*/*/run")}


def words_of(made: FinishedRun, place: Path, **changes: object) -> list[object]:
    config = place / "config.json"
    config.write_text(dump_config(made.inputs.config))
    chosen = [each for pair in changes.items() for each in ("--set", f"{pair[0]}={pair[1]}")]
    folders = ["--name", "run", "--runs", place, "--figures", place / "figures"]
    return ["run", "--config", config, *folders, *chosen]


@pytest.mark.slow
def test_a_split_model_makes_the_run_of_one_process(
    finished_run: FinishedRun, tmp_path: Path
) -> None:
    words = words_of(finished_run, tmp_path, **{"model.placement": "tensor"})
    before = copies_left()
    said = run_killed_in_between(
        [*TORCHRUN, "-m", "workbench"], words, tmp_path / "run", "elicit/parts/*-00002.json"
    )
    # No gradients are taken through a split model, and the stage that needs them says so.
    assert differences(finished_run.folder, tmp_path / "run", without="attribute") == []
    # One process says what a stage found, and one page is there with all it names.
    assert said.count("elicit: the text states") == 1
    page = tmp_path / "figures" / "run"
    pages = {path.name for path in finished_run.figures.iterdir() if path.name[0] != "."}
    assert {path.name for path in page.iterdir() if path.name[0] != "."} == pages
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    for key, value in finished_run.summary.items():
        if isinstance(value, float) and not key.startswith(("seconds", "memory", "patching")):
            assert summary[key] == pytest.approx(value, abs=TOLERANCE), key
    assert copies_left() <= before


@pytest.mark.slow
def test_shared_out_weights_teach_as_one_process(finished_run: FinishedRun, tmp_path: Path) -> None:
    """63 training questions do not divide over two processes; dropout is off, because each would
    draw its own.
    """
    config = finished_run.inputs.config
    lora = config.teach.lora.model_copy(update={"dropout": 0.0})
    teach = config.teach.model_copy(update={"lora": lora})
    for place in ("one", "two"):
        shutil.copytree(finished_run.folder, tmp_path / place / "run")
    one = tmp_path / "one" / "run"
    run_loop(
        config.model_copy(update={"teach": teach}), one, tmp_path / "one" / "figures",
        Reuse(replace=True),
    )  # fmt: skip
    words = words_of(finished_run, tmp_path / "two", **{"teach.lora.dropout": 0})
    run_killed_in_between(
        [*FSDP, str(SHARDED)],
        [*words, "--replace"],
        tmp_path / "two" / "run",
        "teach/checkpoints/checkpoint-3/workbench_seals.json",
    )
    assert differences(one, tmp_path / "two" / "run") == []
