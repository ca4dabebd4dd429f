from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbench.api.questions import load_questions
from workbench.errors import WorkbenchError
from workbench.questions import read_questions


def test_questions_come_from_every_source_by_one_name(tmp_path: Path, loop_inputs: Any) -> None:
    chosen = load_questions(limit=20, domains=["capitals"])
    assert {question.domain for question in chosen} == {"capitals"}
    assert len(chosen) == 20
    assert len(load_questions(loop_inputs.questions, limit=None)) == len(
        read_questions(loop_inputs.questions)
    )
    with pytest.raises(WorkbenchError, match="there is no domain 'seas'"):
        load_questions(domains=["seas"])
