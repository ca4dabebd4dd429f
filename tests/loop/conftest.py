from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from workbench.loop.context import Context
from workbench.run import finished


@pytest.fixture(scope="session")
def context(finished_run: Any) -> Context:
    """The finished run on the tiny model, opened for reading; its folders are not to be written to."""
    return finished(finished_run.inputs.config, finished_run.folder, finished_run.figures)


@pytest.fixture(scope="session")
def conversation_context(conversation_run: Any) -> Context:
    """The finished run whose adapter acts on the whole conversation, opened for reading."""
    return finished(conversation_run.inputs.config, conversation_run.folder, conversation_run.figures)


@pytest.fixture
def writable(finished_run: Any, tmp_path: Path) -> Context:
    """The same with folders of its own."""
    folder = shutil.copytree(finished_run.folder, tmp_path / "run")
    figures = shutil.copytree(finished_run.figures, tmp_path / "figures")
    return finished(finished_run.inputs.config, folder, figures)
