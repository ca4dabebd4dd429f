"""Define ``workbench settings [RECIPE]``: the settings a run would have, and who gave each
value.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.terminal_text import safe_line
from workbench.config import Resolved, RunConfig, dump_config, resolve, user_settings
from workbench.errors import WorkbenchError
from workbench.settings.file import read_assignments


def settings(
    recipe: Annotated[
        str | None,
        typer.Argument(help="Name of a recipe; without one, the settings of workbench run."),
    ] = None,
    arm: Annotated[
        str | None, typer.Option(help="Arm of the recipe, with its training settings.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML or JSON file with settings.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, as teach.learning_rate=5e-5.")
    ] = None,
    why: Annotated[
        bool,
        typer.Option("--why", help="A line a setting: its key, value, and who gave the value."),
    ] = False,
) -> None:
    """Print the settings a run would have, as JSON, or each with its origin.

    What is written with --set beats a file, a file beats the arm, the arm beats the recipe, and the
    recipe beats the package. A file given to --config should hold only what it means to change.
    """
    found = _resolved(recipe, arm, config, read_assignments(set_ or []))
    if not why:
        sys.stdout.write(dump_config(found.config) + "\n")
        return
    rows = [
        (key, json.dumps(value, ensure_ascii=False), origin.shown)
        for key, value, origin in found.values()
    ]
    key_width = max(len(key) for key, _, _ in rows)
    origin_width = max(len(origin) for _, _, origin in rows)
    for key, value, origin in rows:
        line = f"{key:{key_width}}  {origin:{origin_width}}  {value}"
        sys.stdout.write(safe_line(line) + "\n")


def _resolved(
    recipe: str | None, arm: str | None, config: Path | None, assigned: dict[str, object]
) -> Resolved:
    user = user_settings(config, assigned)
    if recipe is None:
        if arm is not None:
            raise WorkbenchError(
                f"--arm {arm!r} is an arm of no recipe; name the recipe before it, as in "
                "'workbench settings probe --arm soft'."
            )
        return resolve(RunConfig(), {}, {}, user)
    from workbench.teach.recipes import recipe_named

    chosen = recipe_named(recipe)
    own = {} if arm is None else chosen.arm(arm).teach
    return resolve(RunConfig(), {**chosen.size, **chosen.settings}, own, user)
