from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from workbench import notebook
from workbench.errors import WorkbenchError
from workbench.experiments.catalogue import Finished, Request
from workbench.experiments.steering.run import SteeringParameters
from workbench.notebook import read_request, run_experiment, show, show_sections, tell
from workbench.pipeline.stages import Reuse
from workbench.report import Page, Section


def test_the_environment_and_the_command_line_are_read_alike() -> None:
    words = ["--name", "mine", "--set", "lengths=0.5,1", "--set", "seed=3", "--replace"]
    wanted = Request(
        "mine", None, {"lengths": "0.5,1", "seed": 3}, Reuse(replace=True, keep_code_version=False)
    )
    assert read_request(" ".join(words), []) == read_request("", words) == wanted
    assert read_request("", []) == Request()


def test_the_command_line_goes_before_the_environment() -> None:
    found = read_request(
        "--name there --config there.yaml --set a=1 --set b.c='two words' --keep-code-version",
        ["--name", "here", "--set", "a=2"],
    )
    assert found == Request(
        "here",
        Path("there.yaml"),
        {"a": 2, "b.c": "two words"},
        Reuse(replace=False, keep_code_version=True),
    )


@pytest.mark.parametrize(
    ("variable", "words", "said"),
    [
        ("", ["lengths=1"], "The command line: unrecognized arguments: lengths=1; give --set"),
        ("--nam x", [], "WORKBENCH_ARGS: unrecognized arguments: --nam x"),
        ("--name 'x", [], "WORKBENCH_ARGS holds a quote that is not closed"),
        ("--set x", [], "must read key=value"),
    ],
)
def test_words_that_cannot_be_read_are_named(variable: str, words: list[str], said: str) -> None:
    with pytest.raises(WorkbenchError, match=said):
        read_request(variable, words)


def test_a_cells_parameters_give_way_and_results_stand_beside_the_analyses_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def perform(experiment: Any, request: Request, **given: Any) -> None:
        asked.append((experiment.name, request.assignments, given))

    monkeypatch.setattr(notebook, "perform", perform)
    monkeypatch.setattr(sys, "argv", ["steering.py", "--set", "layers=2"])
    monkeypatch.setenv("WORKBENCH_ARGS", "--set random=1 --set layers=9")
    (tmp_path / "analyses").mkdir()
    parameters = SteeringParameters(layers=5)
    for folder in (tmp_path, tmp_path / "analyses"):
        monkeypatch.chdir(folder)
        run_experiment("steering", parameters)
    places = {"runs": tmp_path / "runs", "figures": tmp_path / "figures", "parameters": parameters}
    assert asked == [("steering", {"random": 1, "layers": 2}, places)] * 2
    # A notebook's own command line is the kernel's. Bars are drawn by widgets there, which print
    # where no kernel takes them, and what is printed while bars stand is drawn above them.
    monkeypatch.setattr(notebook, "NOTEBOOK", True)
    monkeypatch.setattr("IPython.display.display", lambda *shown, **how: None)
    run_experiment("steering", parameters)
    assert asked[-1][1] == {"random": 1, "layers": 9}


def test_figures_are_drawn_in_a_notebook_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    figure = go.Figure()
    monkeypatch.setattr(go.Figure, "show", lambda figure: drawn.append(figure))
    show(figure)
    assert drawn == []
    monkeypatch.setattr(notebook, "NOTEBOOK", True)
    show(None)
    show(figure)
    assert drawn == [figure]


def test_sections_are_drawn_each_below_its_heading_in_a_notebook_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    monkeypatch.setattr("IPython.display.display", lambda each: shown.append(each.data))
    first, second = go.Figure(), go.Figure()
    sections = [
        Section("a < b", "Read it so.", first, "one"),
        Section("c", "And so.", second, "two"),
    ]
    page = Page("t", sections, {}, {})
    show_sections(page)
    assert shown == []
    monkeypatch.setattr(notebook, "NOTEBOOK", True)
    show_sections(page)
    assert shown == [
        "<h3>a &lt; b</h3><p>Read it so.</p>",
        first,
        "<h3>c</h3><p>And so.</p>",
        second,
    ]


def test_what_is_told_ends_in_the_place_of_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Page("t", [], {"gain": 0.25, "gain.low": 0.1, "gain.high": 0.4}, {}, notes=["two seeds"])
    tell(Finished(None, page, tmp_path / "index.html"))
    assert capsys.readouterr().out.splitlines() == [
        "two seeds",
        "gain  0.250  0.100 to 0.400",
        f"figures: {tmp_path / 'index.html'}",
    ]
