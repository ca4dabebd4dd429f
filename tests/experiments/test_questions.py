from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.experiments.questions import experiment_questions


def config(path: Path, **changes: Any) -> RunConfig:
    given = {"questions": {"source": str(path), "limit": 6, **changes}}
    return RunConfig.model_validate(given)


def test_questions_are_drawn_evenly_from_the_domains_asked_for(answered_file: Path) -> None:
    domains = [one.domain for one in experiment_questions(config(answered_file))]
    assert sorted(domains) == ["far"] * 3 + ["near"] * 3
    chosen = experiment_questions(config(answered_file, domains=("far",)))
    assert [one.domain for one in chosen] == ["far"] * 6


def test_what_cannot_be_asked_is_refused(answered_file: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="no domain 'seas'; the domains are far, near"):
        experiment_questions(config(answered_file, domains=("seas",)))
    with pytest.raises(WorkbenchError, match="graded_file holds answers"):
        experiment_questions(config(answered_file, graded_file=tmp_path / "graded.jsonl"))
