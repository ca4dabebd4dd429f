"""A grid file expanded into cells: by hand, and as a property of any axes."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.config import load_config
from workbench.errors import WorkbenchError
from workbench.grid.cells import AXES, cells_of
from workbench.grid.grid_file import GridFile, plain_name, read_grid

NAMES = st.lists(
    st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,5}", fullmatch=True), min_size=1, max_size=3,
    unique_by=str.casefold,
)  # fmt: skip


def grid_of(**content: Any) -> GridFile:
    return GridFile.model_validate(content)


def test_by_hand() -> None:
    grid = grid_of(
        models=[
            "default",
            {"name": "small", "model": "org/tiny", "set": {"model.dtype": "float32"}},
        ],
        questions=["builtin", "sets/mine.jsonl"],
        settings=[{"name": "plain"}, {"name": "long", "set": {"teach": {"epochs": 8}}}],
        seeds={"first": 3, "count": 2},
        exclude=[{"model": "small", "settings": "long"}, {"questions": "mine", "seed": 4}],
        common={"teach.epochs": 2, "questions": {"limit": 40}},
    )
    cells = {cell.name: cell for cell in cells_of(grid)}
    assert sorted(cells) == [
        "default__builtin__long__seed3",
        "default__builtin__long__seed4",
        "default__builtin__plain__seed3",
        "default__builtin__plain__seed4",
        "default__mine__long__seed3",
        "default__mine__plain__seed3",
        "small__builtin__plain__seed3",
        "small__builtin__plain__seed4",
        "small__mine__plain__seed3",
    ]
    long, small = cells["default__mine__long__seed3"], cells["small__builtin__plain__seed4"]
    assert long.config.teach.epochs == 8
    assert (long.config.questions.source, long.config.questions.limit) == ("sets/mine.jsonl", 40)
    assert (small.config.model.name, small.config.model.dtype) == ("org/tiny", "float32")
    assert (small.config.teach.epochs, small.config.seed) == (2, 4)
    assert dict(small.axes) == dict(
        zip(AXES, ("small", "builtin", "loop", "plain", 4), strict=True)
    )


@settings(max_examples=25)
@given(
    NAMES,
    NAMES,
    NAMES,
    st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
    st.data(),
)
def test_every_combination_is_there_once_and_keeps_its_name(
    models: list[str], sets: list[str], changes: list[str], seeds: list[int], data: st.DataObject
) -> None:
    whole = list(product(models, sets, changes, seeds))
    left_out = data.draw(st.lists(st.sampled_from(whole), max_size=len(whole) - 1, unique=True))
    exclude = [{"model": m, "questions": q, "settings": c, "seed": s} for m, q, c, s in left_out]
    entries = [{"name": name, "set": {"teach.epochs": i + 1}} for i, name in enumerate(changes)]
    axes = {"models": models, "questions": sets, "settings": entries, "seeds": seeds}
    cells = cells_of(grid_of(**axes, exclude=exclude))
    found = [
        tuple(cell.axes[a] for a in ("model", "questions", "settings", "seed")) for cell in cells
    ]
    assert sorted(found) == sorted(set(whole) - set(left_out))
    assert len({cell.name.casefold() for cell in cells}) == len(cells)
    for cell in cells:
        assert cell.config.seed == cell.axes["seed"]
        assert cell.config.teach.epochs == changes.index(str(cell.axes["settings"])) + 1
    # A grid that grows keeps the names of its cells.
    grown = cells_of(grid_of(**{**axes, "seeds": [*seeds, 100]}))
    assert {cell.name for cell in cells} <= {cell.name for cell in grown}


def test_a_cell_has_the_settings_of_workbench_run(tmp_path: Path) -> None:
    common = {"teach": {"epochs": 3}, "questions": {"limit": 12}}
    (cell,) = cells_of(grid_of(models=["org/a"], seeds=[5], common=common))
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(common))
    assert cell.config == load_config(file, {"model.name": "org/a", "seed": 5})


def test_a_recipe_leaves_its_own_settings_where_the_grid_has_none() -> None:
    probe, mine = cells_of(
        grid_of(
            recipes=["probe", {"name": "mine", "recipe": "probe", "set": {"questions.limit": 9}}]
        )
    )
    assert probe.name == "default__builtin__probe__seed0"
    from workbench.teach.recipes import recipe_named

    assert probe.config.questions.limit == recipe_named("probe").size["questions.limit"]
    assert mine.config.questions.limit == 9


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"model": ["a"]}, "there is no such setting; did you mean 'models'"),
    ({"models": []}, "at least 1 value"),
    ({"models": ["a", "x/a"]}, "two entries of the axis models have the name 'a'"),
    ({"models": [{"name": "a b", "model": "c"}]}, "letters, digits, '.' and '-' alone"),
    ({"models": [{"name": "a", "model": "c", "epochs": 1}]}, "there is no such setting"),
    ({"seeds": []}, "names no seed"),
    ({"seeds": [1, 1]}, "names 1 twice"),
    ({"seeds": {"first": 1}}, "as {first: 0, count: 10}"),
    ({"seeds": {"first": 1, "last": 2, "count": 1}}, "as {first: 0, count: 10}"),
    ({"common": {"seed": 1}}, "put it on the axis seeds"),
    ({"common": {"teach": {"epochs": 1}, "teach.epochs": 2}}, "sets teach.epochs twice"),
    ({"common": {"teach": {"epoch": 1}}}, "Cell default__builtin__seed0: .*'teach.epochs'"),
    ({"settings": [{"name": "a", "set": {"seed": 1}}]}, "what the axis seeds is for"),
    (
        {
            "models": [{"name": "a", "model": "a", "set": {"teach.epochs": 1}}],
            "settings": [{"name": "b", "set": {"teach": {"epochs": 2}}}],
        },
        "axes models and settings of the grid both set teach.epochs",
    ),
    ({"exclude": [{"model": "smal"}]}, "fits no cell"),
    ({"exclude": [{}]}, "fits no cell"),
    ({"exclude": [{"model": "default"}]}, "excludes all"),
    ({"settings": [{"name": "a"}, {"name": "b"}]}, "are the same run"),
    ({"settings": [{"name": "b"}, {"name": "B", "set": {"teach.epochs": 2}}]}, "the name"),
    ({"recipes": ["none"]}, "There is no recipe 'none'"),
    ({"recipes": [{"name": "x", "recipe": "probe", "arms": ["none"]}]}, "has no arm 'none'"),
]


@pytest.mark.parametrize(("content", "said"), MISTAKES)
def test_mistakes_are_one_sentence(content: dict[str, Any], said: str, tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(WorkbenchError, match=said) as caught:
        cells_of(read_grid(file))
    assert "\n" not in str(caught.value)


def test_names_are_folders() -> None:
    assert plain_name("org/Model-1.5B") == "Model-1.5B"
    assert plain_name("mmlu:validation") == "mmlu-validation"
    assert plain_name("../..") == "unnamed"


def test_keys_of_the_file_are_changed_for_a_small_form(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "models: [default, other]\nseeds: {first: 0, count: 10}\ncommon: {teach: {epochs: 3}}\n"
    )
    changes = {
        "models": ["default"],
        "seeds.count": 2,
        "common.questions.limit": 100,
        "common.teach.epochs": 1,
    }
    found = read_grid(file, changes)
    assert [entry.model for entry in found.models] == ["default"]
    assert found.all_seeds == (0, 1)
    assert found.common == {"teach": {"epochs": 1}, "questions": {"limit": 100}}
    assert read_grid(file).all_seeds == tuple(range(10))
    with pytest.raises(WorkbenchError, match=r"--set models\.name: models has no keys"):
        read_grid(file, {"models.name": "default"})
    with pytest.raises(WorkbenchError, match="seed"):
        read_grid(file, {"sedes.count": 2})
