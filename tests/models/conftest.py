from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The folder that stands for the package index."""
    folder = tmp_path / "served"
    folder.mkdir()
    return folder
