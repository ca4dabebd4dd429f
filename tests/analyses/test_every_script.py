"""Every script of ``analyses/`` is executed as a notebook: by the test of its own name, or, as long
as it has none, here with its own parameters on the tiny model.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.analyses import FOLDER
from workbench.experiments.catalogue import EXPERIMENTS

SCRIPTS = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}
RUNS = re.compile(r'run_experiment\(\s*"(\w+)"')


def has_own_test(name: str) -> bool:
    path = Path(__file__).with_name(f"test_{name}.py")
    return path.exists() and ".notebook()" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_without_a_test_of_its_own_runs_from_the_first_cell_to_the_last(
    name: str, request: pytest.FixtureRequest
) -> None:
    """One whose settings do not fit the tiny model's questions needs a test of its own."""
    if has_own_test(name):
        return
    found = RUNS.search(SCRIPTS[name].read_text(encoding="utf-8"))
    assert found, f"{name} runs no experiment; what teaches belongs in analyses/tutorials"
    # A finished run is made only where a script wants one.
    if EXPERIMENTS[found.group(1)].on_finished_run:
        analysis = request.getfixturevalue("on_run")(name)
    else:
        settings = request.getfixturevalue("taught_soon")
        analysis = request.getfixturevalue("asked")(name, settings)
    shown = analysis.notebook()
    assert shown.figures >= 1
    assert "figures: " in shown.text
