from __future__ import annotations

from pathlib import Path

from workbench.teach.checkpoints import STATE, diverged, drop_unfinished, last_checkpoint


def checkpoint(folder: Path, step: int, finished: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    if finished:
        (path / STATE).write_text("{}")
    return path


def test_a_checkpoint_that_was_not_finished_is_removed(tmp_path: Path) -> None:
    good = checkpoint(tmp_path, 2)
    checkpoint(tmp_path, 4, finished=False)
    drop_unfinished(tmp_path)
    assert last_checkpoint(tmp_path) == good
    assert last_checkpoint(tmp_path / "nowhere") is None


def test_the_checkpoint_whose_weights_diverged_is_removed_and_the_one_before_named(tmp_path: Path) -> None:
    good, bad = checkpoint(tmp_path, 2), checkpoint(tmp_path, 4)
    assert f"at step 5; the last good checkpoint is kept in {good}." in str(diverged(tmp_path, 4))
    assert not bad.exists()
    assert "at step 4; the last good" in str(diverged(tmp_path, 3))
    assert good.exists()
    assert "no checkpoint had been written before" in str(diverged(tmp_path, 2))
