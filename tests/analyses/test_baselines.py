from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[2] / "analyses" / "baselines.py"


def test_as_a_script_it_writes_tables_and_figures_of_both_kinds_in_bfloat16(
    loop_inputs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = tmp_path / "questions.jsonl"
    rows = [
        {
            "question": f"Which planet has {i} moons?",
            "answers": [f"Planet{i}"],
            "domain": ("near", "far")[i % 2],
        }
        for i in range(24)
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "settings.yaml").write_text("model: {precision: bfloat16}\n")
    given = {
        "MODEL": loop_inputs.model,
        "QUESTIONS": questions,
        "LIMIT": 12,
        "SAMPLES": 2,
        "RUN": "tiny",
    }
    given["CONFIG"] = tmp_path / "settings.yaml"
    for name, value in given.items():
        monkeypatch.setenv(f"WORKBENCH_{name}", str(value))
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    page = tmp_path / "figures" / "tiny"
    assert done.stdout.splitlines()[-1] == f"figures: {page / 'index.html'}"
    assert {path.name for path in page.glob("*.html")} == {"index.html", "open.html", "choice.html"}
    opened, choice = (pd.read_csv(page / f"{name}.csv") for name in ("open", "choice"))
    assert len(opened) == 15
    assert set(choice["baseline"]) >= {"p_ic", "max_softmax"}
    assert "matrix products in bfloat16" in (page / "open.html").read_text()
    for title in opened["title"]:
        assert title in done.stdout
