"""No identifier of the package carries a word that the field does not know, and no module is too
long to be one idea.
"""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "workbench").rglob("*.py"))

# An old word -> the word used now.
OLD = {
    "pupil": "training",
    "pupils": "trainings",
    "school": "recipe_run",
    "attend": "run_trainings",
    "visitor": "transferred_adapter",
    "visitors": "transferred_adapters",
    "twin": "shuffled_control",
    "leaving": "kv_cache",
    "behind": "after, suffix",
    "beside": "extra",
    "reach": "invocation",
    "spared": "skip_columns",
    "lesson": "training_job",
    "lessons": "training_jobs",
    "aims": "training_targets",
    "elsewhere": "transfer",
    "untaught": "untrained",
    "birth": "first_layer",
    "births": "first_layers",
    "born": "appended",
    "committee": "ensemble",
    "likeliest": "mode",
    "peer": "library",
    "peers": "libraries",
    "standing": "row",
    "standings": "rows",
    "visited": "judged",
    "settled": "resolved",
    "oriented": "orient",
}
OLD_NAMES = {
    "adapter_from", "base_following", "by_examples", "by_sampling", "c_grid", "go_through",
    "half_ranks_apart", "in_two_stages", "kept_bytes", "keep_prompts", "keeping_prompts",
    "lines_of", "look_again", "loop_items", "narrow_to", "number_prefix", "on_places",
    "onset_layer", "pass_behind", "rate_ratio", "reach_of", "read_taught", "read_whole",
    "starting_from", "states_behind", "states_bytes", "thinned_layers", "token_budget",
    "tokens_per_batch",
}  # fmt: skip
EXCEPTIONS = {
    # Rows of the league that no arm made: the word says what they are.
    ("workbench/experiments/league/comparison.py", "PROBED"),
}
MOST_LINES, LEAST_MEDIAN = 300, 80


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a module gives or uses, with its line."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Name):
            yield node.id, line
        elif isinstance(node, ast.Attribute):
            yield node.attr, line
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, line
        elif isinstance(node, ast.arg) or (isinstance(node, ast.keyword) and node.arg):
            yield node.arg, line
        elif isinstance(node, ast.alias):
            yield from ((name, line) for name in (node.name, node.asname) if name)


def words(identifier: str) -> list[str]:
    """The words of a name, split where it has an underscore, a point or a capital."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_are_the_fields(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    found = {
        f"{name}:{line}: {identifier}"
        for identifier, line in identifiers(ast.parse(path.read_text(encoding="utf-8")))
        if (set(words(identifier)) & OLD.keys() or identifier in OLD_NAMES)
        and (name, identifier) not in EXCEPTIONS
    }
    assert not found, "\n".join(sorted(found))


def test_modules_are_one_idea_long() -> None:
    lines = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in MODULES
    }
    long = {name: count for name, count in lines.items() if count > MOST_LINES}
    assert not long
    assert statistics.median(lines.values()) >= LEAST_MEDIAN
