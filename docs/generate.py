"""Write ``docs/reference`` from the package's own tables, and ``docs/results`` from files of runs.

    python docs/generate.py

A reference page is a function from nothing to its Markdown. A results page is made from a JSON
file in ``docs/results/data``: title, command, commit, machine, note, settings, and rows of section,
row, column, value, low, high. ``tests/docs/test_pages.py`` compares every page with what is
tracked, so that a new row, setting or option cannot go without its line here.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

# Another checkout may be the one installed: the pages are of the package next to this file.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workbench.bench.families import OUTCOMES
from workbench.cli.app import app
from workbench.config import RunConfig
from workbench.elicit.formats import FORMATS, described
from workbench.questions.hub.table import HUB_SETS
from workbench.report.summary_keys import SUMMARY_KEYS
from workbench.teach.recipes import RECIPES

REFERENCE = Path(__file__).parent / "reference"
RESULTS = Path(__file__).parent / "results"
FAMILIES = REFERENCE / "families.json"
NOTE = "<!-- written by docs/generate.py -->\n"


def formats_page() -> str:
    """Every elicitation format with its layout, scale and words."""
    rows = [
        [f"`{fmt.name}`", fmt.layout, described(fmt), _cell(fmt.confidence_question)]
        for fmt in FORMATS.values()
    ]
    return _page(
        "Formats",
        "A format says how an answer and a confidence in it are asked for. "
        "`workbench formats --full` prints each with its words; a new one is one row of "
        "`workbench/elicit/formats.py`.",
        _table(["name", "layout", "in short", "what is asked"], rows),
    )


def recipes_page() -> str:
    """Every recipe with its arms, their targets and their changes to the training settings."""
    parts = []
    for recipe in RECIPES.values():
        rows = [
            [
                f"`{arm.name}`" + (" (default)" if arm.name in recipe.default else ""),
                _cell(arm.about),
                ", ".join(arm.sources) or "grades",
                _settings(arm.teach),
            ]
            for arm in recipe.arms
        ]
        changed = _settings(recipe.settings)
        parts += [
            f"## {recipe.name}",
            f"{_cell(recipe.about).capitalize()}. Source: {recipe.source}."
            + (f"\n\nThe run around it: {changed}" if changed else ""),
            _table(["arm", "what is trained", "targets from", "training settings"], rows),
        ]
    return _page(
        "Recipes",
        "`workbench teach RECIPE` trains the arms of a recipe, each with a control on shuffled "
        "targets, and measures all of them on held-out questions. A new recipe is one file in "
        "`workbench/teach/recipes/`.",
        "\n\n".join(parts),
    )


def settings_page() -> str:
    """Every setting with its default, its bounds and what it decides."""
    parts = []
    for group, rows in _groups(RunConfig):
        table = _table(["setting", "default", "may be", "what it decides"], rows)
        parts.append(f"## {group}\n\n{table}")
    return _page(
        "Settings",
        "Each is given with `--set KEY=VALUE` or in a YAML or JSON file with `--config FILE`; "
        "unknown keys are refused.",
        "\n\n".join(parts),
    )


def command_line_page() -> str:
    """Every command with its arguments and options."""
    parts = [
        "\n\n".join([f"## workbench {name}", _cell(command.help or ""), _options(command)]).rstrip()
        for name, command in _commands(typer.main.get_command(app))
    ]
    return _page("Command line", "", "\n\n".join(parts))


def hub_sets_page() -> str:
    """Every question set of the hub that is known by name."""
    rows = [
        [
            f"`{row.name}`",
            row.hub,
            row.configuration or row.folder or "default",
            row.split,
            f"{row.kind}, some unanswerable" if row.answerable else row.kind,
            row.licence,
        ]
        for row in HUB_SETS.values()
    ]
    return _page(
        "Question sets of the hub",
        "`--questions NAME` takes one of these through the `datasets` library, `NAME:SPLIT` "
        "another of its splits. The licence is the one that the data card or the authors' "
        "repository states; no code of a data set is run.",
        _table(["name", "hub id", "configuration", "split", "kind", "licence"], rows),
    )


def summary_keys_page() -> str:
    """Every pattern of a summary's keys with its meaning."""
    rows = [[f"`{pattern}`", _cell(words)] for pattern, words in SUMMARY_KEYS.items()]
    return _page(
        "Summary keys",
        "`runs/<name>/summary.json` is flat. `<readout>` is stated, expected or probe; "
        "`<condition>` is before, after, control (trained on shuffled targets), a further training "
        "(seed1), an arm, an arm's control, or a recalibration. `key.low` and `key.high` bound a "
        "95 % interval. The same numbers are rows of `report/measures.parquet`.",
        _table(["key", "meaning"], rows),
    )


def families_page() -> str:
    """Every registered model family, and what can be done with a tiny random model of it."""
    recorded = json.loads(FAMILIES.read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = recorded["families"]
    counts = [
        [
            outcome,
            str(sum(_is(row, outcome, False) for row in rows)),
            str(sum(_is(row, outcome, True) for row in rows)),
        ]
        for outcome in OUTCOMES
    ]
    parts = [
        f"Recorded with transformers {recorded['transformers']}. `workbench models check ID` "
        "prints the same of a real model.",
        _table(["outcome", "language models", "that read images or sound too"], counts),
    ]
    for outcome in OUTCOMES:
        lines = [
            [
                f"`{row['family']}`",
                "images or sound too" if row["whole"] else "",
                _listed(row["lacks"]),
                _cell(row["why"]),
            ]
            for row in rows
            if row["outcome"] == outcome
        ]
        parts.append(f"## {outcome.capitalize()}")
        parts.append(_table(["family", "reads", "lacks", "why not packed"], lines))
    lead = (
        "What can be done with each model family that transformers registers: a tiny random model "
        "of it is built, its parts are read off it, and everything is verified on plain forwards, "
        "attention windows active. *Packed*: all patched branches share a forward. *Loop*: a "
        "forward for each branch. *Refused*: a check failed without which no number can be "
        "trusted. *Not built*: transformers makes no tiny one, or it reads no text alone. A tiny "
        "model shares its code with the family's real ones, and nothing else. "
        "`workbench models families` makes the table."
    )
    return _page("Model families", lead, "\n\n".join(parts))


def _is(row: Mapping[str, Any], outcome: str, whole: bool) -> bool:
    return row["outcome"] == outcome and row["whole"] == whole


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


PAGES: Mapping[str, Callable[[], str]] = {
    "formats.md": formats_page,
    "recipes.md": recipes_page,
    "settings.md": settings_page,
    "cli.md": command_line_page,
    "hub_sets.md": hub_sets_page,
    "families.md": families_page,
    "summary_keys.md": summary_keys_page,
}


def results_page(data: Mapping[str, Any], images: Sequence[Path] = ()) -> str:
    """One experiment's numbers: how they were made, its figures, then a table a section."""
    made = [
        f"Made by `{data['command']}` at commit {data['commit']} on {data['machine']}.",
        data["note"] and f"{data['note'][:1].upper()}{data['note'][1:].rstrip('.')}.",
        f"Brackets hold {data.get('brackets', '95 % bootstrap intervals over questions')}.",
    ]
    sections = dict.fromkeys(row["section"] for row in data["rows"])
    parts = [f"![{path.stem.partition('-')[2]}](images/{path.name})" for path in images]
    for section in sections:
        own = [row for row in data["rows"] if row["section"] == section]
        heads = list(dict.fromkeys(row["column"] for row in own))
        counted = Counter((row["row"], row["column"]) for row in own)
        twice = [key for key, count in counted.items() if count > 1]
        if twice:
            raise ValueError(f"{data['title']}, {section}: two numbers for {twice[0]}")
        whole = [head for head in heads if _whole([r for r in own if r["column"] == head])]
        cells = {
            (row["row"], row["column"]): f"{row['value']:,.0f}"
            if row["column"] in whole
            else _estimate(row)
            for row in own
        }
        rows = [
            [name, *(cells.get((name, head), "") for head in heads)]
            for name in dict.fromkeys(row["row"] for row in own)
        ]
        parts.append(f"## {section}\n\n{_table(['', *heads], rows)}")
    settings = json.dumps(data["settings"], indent=2, ensure_ascii=False)
    parts.append(f"## Settings\n\n```json\n{settings}\n```")
    return _page(data["title"], " ".join(filter(None, made)), "\n\n".join(parts))


def pages() -> Iterator[tuple[Path, str]]:
    """Every generated page: its path, and its Markdown."""
    for name, page in PAGES.items():
        yield REFERENCE / name, page()
    for path in sorted((RESULTS / "data").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        images = sorted((RESULTS / "images").glob(f"{path.stem}-*.png"))
        yield RESULTS / f"{path.stem}.md", results_page(content, images)


def write_pages() -> int:
    """Write every generated page; returns how many there are."""
    found = list(pages())
    for path, content in found:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return len(found)


def _whole(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the rows' values are counts: whole numbers, one above 1, none with an interval."""
    values = [row["value"] for row in rows]
    return all(
        value is not None and float(value).is_integer() and row["low"] is None
        for value, row in zip(values, rows, strict=True)
    ) and any(value > 1 for value in values)


def _estimate(row: Mapping[str, Any]) -> str:
    if "word" in row:
        return str(row["word"])
    if row["value"] is None:
        return "not defined"
    if row["low"] is None:
        return f"{row['value']:.2f}"
    return f"{row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def _page(title: str, lead: str, body: str) -> str:
    return "\n\n".join(part for part in (f"{NOTE}# {title}", lead, body) if part) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """``text`` on one line, with nothing that ends a cell."""
    return " ".join(inspect.cleandoc(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _settings(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}={value}`" for key, value in _flat(changes))


def _flat(changes: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", list(value) if isinstance(value, tuple) else value


def _groups(model: type[BaseModel], name: str = "") -> Iterator[tuple[str, list[list[str]]]]:
    """Rows of a group's own settings, then those of the groups in it."""
    rows, inner = [], []
    for key, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            inner.append((kind, f"{name}{key}."))
            continue
        default = "" if field.default is PydanticUndefined else f"`{_value(field.default)}`"
        bounds = [_bound(rule) for rule in field.metadata]
        allowed = "; ".join([_kind(kind), *filter(None, bounds)])
        rows.append([f"`{name}{key}`", default, _cell(allowed), _cell(field.description or "")])
    if rows:
        yield name.rstrip(".") or "the run", rows
    for kind, path in inner:
        yield from _groups(kind, path)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _kind(kind: Any) -> str:
    """What a setting may be, in words."""
    if kind is type(None):
        return "none"
    if isinstance(kind, type):
        return {
            "int": "a whole number", "float": "a number", "str": "a text", "bool": "yes or no",
            "Path": "a path", "date": "a date", "tuple": "a list",
        }.get(kind.__name__, kind.__name__)  # fmt: skip
    inner = get_args(kind)
    origin = getattr(kind, "__origin__", None)
    if origin is tuple:
        return f"a list, each {_kind(inner[0])}"
    if str(origin) == "typing.Literal":
        return " or ".join(str(each) for each in inner)
    if hasattr(kind, "__metadata__"):
        return _kind(inner[0])
    return " or ".join(dict.fromkeys(_kind(each) for each in inner)) or str(kind)


def _bound(rule: Any) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    found = [f"{sign} {getattr(rule, key):,}" for key, sign in signs.items() if hasattr(rule, key)]
    return " ".join(found)


def _commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for key in sorted(command.commands):
            if command.commands[key].hidden:
                continue
            yield from _commands(command.commands[key], f"{name} {key}".strip())
    else:
        yield name, command


def _options(command: Any) -> str:
    rows = []
    for option in command.params:
        if option.name in ("help", "install_completion", "show_completion"):
            continue
        names = ", ".join(f"`{each}`" for each in [*option.opts, *option.secondary_opts])
        if option.param_type_name == "argument":
            names = f"`{(option.metavar or option.name).upper()}`"
        default = option.default if not callable(option.default) else None
        shown = "" if default in (None, (), [], False) else f"`{default}`"
        rows.append([names, shown, _cell(getattr(option, "help", None) or "")])
    return _table(["option", "default", "what it is"], rows) if rows else ""


if __name__ == "__main__":
    sys.stdout.write(f"{write_pages()} pages in {REFERENCE.parent}\n")
