from __future__ import annotations

from pathlib import Path

from workbench.models.source import ModelSource, hub_commit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_hub_model_is_known_by_the_commit_that_its_branch_pointed_to(tmp_path: Path) -> None:
    """The layout that huggingface_hub documents: a branch is a file with a commit in it."""
    repository = tmp_path / "models--org--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    (repository / "snapshots" / COMMIT / "config.json").write_text("{}")
    source = ModelSource("org/name", False, revision="main")
    assert hub_commit(source, tmp_path) == COMMIT
    assert hub_commit(ModelSource("org/name", False, revision=COMMIT), tmp_path) == COMMIT
    assert hub_commit(ModelSource("org/other", False, revision="v1"), tmp_path) == "v1"
