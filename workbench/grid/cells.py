"""Expand a grid file into its cells: every combination of its axes that is not left out, each with
its settings and a name that stays when the grid grows.

A cell's name joins its model, question set, recipe, named change and seed, as in
``default__builtin__gentle__seed3``. The recipe ``loop`` and the absent change of settings leave no
part, so a grid that gets another axis keeps the names, and the finished runs, of its old cells.
Which settings two entries of different axes may both set has no good answer, so that is refused;
``common`` is what entries are meant to change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from workbench.config import Resolved, RunConfig, UserSettings, dump_config, resolve
from workbench.errors import WorkbenchError
from workbench.files.names import check_name
from workbench.grid.grid_file import (
    LOOP,
    Entry,
    GridFile,
    ModelEntry,
    QuestionsEntry,
    RecipeEntry,
    SettingsEntry,
)
from workbench.pipeline.fingerprint import fingerprint

AXES = ("model", "questions", "recipe", "settings", "seed")
_OF_AXES = {"model.name": "models", "questions.source": "questions", "seed": "seeds"}
_SEPARATOR = "__"


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Attributes:
        axes: by axis, the name of its entry; the seed as a number. "" where no change is named.
        settings: by dotted key, what the grid sets; everything else is the recipe's or the default.
        recipe: ``loop`` or the name of a recipe.
        arms: of the recipe; none for its default ones.
    """

    name: str
    axes: Mapping[str, str | int]
    settings: Mapping[str, Any]
    recipe: str = LOOP
    arms: tuple[str, ...] = ()

    def resolved(self) -> Resolved:
        """Return all settings of the run, each with its origin.

        Raises:
            WorkbenchError: naming the cell and the key, for unknown keys and values out of range.
        """
        recipe: dict[str, Any] = {}
        try:
            if self.recipe != LOOP:
                from workbench.teach.recipes import recipe_named

                chosen = recipe_named(self.recipe)
                for arm in self.arms:
                    chosen.arm(arm)
                recipe = {**chosen.size, **chosen.settings}
            return resolve(RunConfig(), recipe, {}, UserSettings(assigned=self.settings))
        except WorkbenchError as error:
            raise WorkbenchError(f"Cell {self.name}: {error}") from error

    @property
    def config(self) -> RunConfig:
        """All settings of the run."""
        return self.resolved().config


def cells_of(grid: GridFile) -> tuple[Cell, ...]:
    """Return the cells of a grid, seeds fastest.

    Raises:
        WorkbenchError: for a setting that two axes set, an exclusion that leaves nothing out, cells
            that are the same run, and settings that no run can have.
    """
    common = _flat(grid.common, "common")
    for key, axis in _OF_AXES.items():
        if key in common:
            raise WorkbenchError(
                f"The grid's common settings set {key}; put it on the axis {axis}."
            )
    cells = [_cell(common, *entries) for entries in _combinations(grid)]
    kept = _without_excluded(cells, grid)
    if not kept:
        raise WorkbenchError("The grid excludes all of its cells; nothing is left to run.")
    _refuse_duplicates(kept)
    return kept


def _combinations(
    grid: GridFile,
) -> Iterator[tuple[ModelEntry, QuestionsEntry, RecipeEntry, SettingsEntry | None, int]]:
    changes: Sequence[SettingsEntry | None] = grid.settings or (None,)
    yield from product(grid.models, grid.questions, grid.recipes, changes, grid.all_seeds)


def _cell(
    common: Mapping[str, Any],
    model: ModelEntry,
    questions: QuestionsEntry,
    recipe: RecipeEntry,
    change: SettingsEntry | None,
    seed: int,
) -> Cell:
    parts = [model.name, questions.name]
    parts += [recipe.name] if recipe.name != LOOP else []
    parts += [change.name] if change is not None else []
    own = {
        "seeds": {"seed": seed},
        "models": {"model.name": model.model, **_own(model, "models")},
        "questions": {"questions.source": questions.source, **_own(questions, "questions")},
        "recipes": _own(recipe, "recipes"),
        "settings": {} if change is None else _own(change, "settings"),
    }
    _refuse_conflicts(own)
    settings = dict(common)
    for changes in own.values():
        for key, value in changes.items():
            settings = {k: v for k, v in settings.items() if not _overlap(k, key)}
            settings[key] = value
    axes: dict[str, str | int] = {
        "model": model.name,
        "questions": questions.name,
        "recipe": recipe.name,
        "settings": "" if change is None else change.name,
        "seed": seed,
    }
    name = check_name(_SEPARATOR.join([*parts, f"seed{seed}"]), "The name of the cell")
    return Cell(name, axes, settings, recipe.recipe, recipe.arms)


def _own(entry: Entry, axis: str) -> dict[str, Any]:
    found = _flat(entry.set, f"the entry {entry.name!r} of the axis {axis}")
    for key, of in _OF_AXES.items():
        if key in found:
            raise WorkbenchError(
                f"In the grid, the entry {entry.name!r} of the axis {axis} sets {key}, which is "
                f"what the axis {of} is for."
            )
    return found


def _refuse_conflicts(own: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse settings that two axes set, whichever would win."""
    seen: dict[str, str] = {}
    for axis, changes in own.items():
        for key in changes:
            other = next((k for k in seen if seen[k] != axis and _overlap(k, key)), None)
            if other is not None:
                raise WorkbenchError(
                    f"The axes {seen[other]} and {axis} of the grid both set {key}; let one axis "
                    "decide it."
                )
            seen[key] = axis


def _overlap(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _flat(content: Mapping[str, Any], where: str, before: str = "") -> dict[str, Any]:
    """Return nested or dotted settings by their dotted keys.

    Raises:
        WorkbenchError: for a setting that is written twice.
    """
    out: dict[str, Any] = {}
    for key, value in content.items():
        path = f"{before}{key}"
        found = (
            _flat(value, where, f"{path}.")
            if isinstance(value, Mapping) and value
            else {path: value}
        )
        twice = next((k for k in found if k in out), None)
        if twice is not None:
            raise WorkbenchError(f"In the grid, {where} sets {twice} twice; write it once.")
        out |= found
    return out


def _without_excluded(cells: Sequence[Cell], grid: GridFile) -> tuple[Cell, ...]:
    excluded: set[str] = set()
    for exclusion in grid.exclude:
        named = exclusion.named()
        hit = {
            cell.name
            for cell in cells
            if named and all(cell.axes[axis] == name for axis, name in named.items())
        }
        if not hit:
            shown = ", ".join(f"{axis}: {name}" for axis, name in named.items()) or "nothing"
            raise WorkbenchError(
                f"The grid's exclusion ({shown}) fits no cell; it names entries of axes by their "
                "'name'."
            )
        excluded |= hit
    return tuple(cell for cell in cells if cell.name not in excluded)


def _refuse_duplicates(cells: Sequence[Cell]) -> None:
    """Refuse cells of one name and cells that are the same run, which would be counted twice."""
    twice = [
        name for name, count in Counter(cell.name.casefold() for cell in cells).items() if count > 1
    ]
    if twice:
        raise WorkbenchError(
            f"Two cells of the grid would have the name {twice[0]}; give a recipe or a change of "
            "settings another 'name'."
        )
    seen: dict[str, str] = {}
    for cell in cells:
        run = fingerprint([cell.recipe, list(cell.arms), dump_config(cell.config)])
        if run in seen:
            raise WorkbenchError(
                f"The cells {seen[run]} and {cell.name} of the grid are the same run; leave one "
                "out."
            )
        seen[run] = cell.name
