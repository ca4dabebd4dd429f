from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.teach.checkpoints import (
    SEALS,
    diverged,
    drop_damaged,
    last_checkpoint,
    seal_checkpoint,
)


def checkpoint(folder: Path, step: int) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    for name in ("adapter_model.safetensors", "optimizer.pt", "trainer_state.json"):
        (path / name).write_text(f"{name} at {step}")
    seal_checkpoint(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    drop_damaged(tmp_path / "checkpoints")
    return tmp_path / "checkpoints"


@pytest.mark.parametrize(
    "name", ["adapter_model.safetensors", "optimizer.pt", "trainer_state.json", SEALS]
)
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text(""),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
    ],
    ids=["gone", "empty", "zeros"],
)
def test_a_checkpoint_that_is_not_whole_is_removed(
    folder: Path, name: str, damage: Callable[[Path], object]
) -> None:
    good, bad = checkpoint(folder, 2), checkpoint(folder, 4)
    drop_damaged(folder)
    assert last_checkpoint(folder) == bad
    damage(bad / name)
    drop_damaged(folder)
    assert not bad.exists()
    assert last_checkpoint(folder) == good
    assert last_checkpoint(folder / "nowhere") is None


def test_checkpoints_of_somebody_else_stay(tmp_path: Path) -> None:
    mine = tmp_path / "checkpoint-7"
    mine.mkdir()
    (mine / "weights").write_text("")
    with pytest.raises(
        WorkbenchError,
        match=r"holds checkpoint-7; nothing in it was touched\. Choose another folder for",
    ):
        drop_damaged(tmp_path)
    assert (mine / "weights").exists()


def test_the_checkpoint_whose_weights_diverged_is_removed_and_the_one_before_named(
    tmp_path: Path,
) -> None:
    good, bad = checkpoint(tmp_path, 2), checkpoint(tmp_path, 4)
    assert f"at step 5; the last good checkpoint is kept in {good}." in str(diverged(tmp_path, 4))
    assert not bad.exists()
    assert "at step 4; the last good" in str(diverged(tmp_path, 3))
    assert good.exists()
    assert "no checkpoint had been written before" in str(diverged(tmp_path, 2))
