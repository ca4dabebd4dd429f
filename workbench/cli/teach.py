"""Define ``workbench teach RECIPE``, which runs a recipe from the questions to its table, and
``workbench recipes``, which lists them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.cli.lists import listed
from workbench.cli.options import FiguresFolder, KeepCodeVersion, Replace
from workbench.cli.terminal import bars
from workbench.cli.terminal_text import safe_text
from workbench.config import RunConfig, resolve, user_settings
from workbench.errors import WorkbenchError
from workbench.files.names import folder_named
from workbench.files.processes import is_first_process, own_folder
from workbench.settings.file import read_assignments

if TYPE_CHECKING:
    from workbench.teach.recipes import Recipe

_WIDE = 240


def teach(
    recipe: Annotated[
        str, typer.Argument(help="Name of a recipe; `workbench recipes` lists them.")
    ],
    arms: Annotated[
        str | None,
        typer.Option(help="Names of arms, by commas, or all; default: the recipe's own choice."),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="Trainings of each arm; the first has a shuffled control."
        ),
    ] = 1,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(help="Domain to be taught nothing of and tested on; may be repeated."),
    ] = None,
    reprobe: Annotated[
        bool, typer.Option("--reprobe", help="Fit probes on the taught models too.")
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the run; recipes of one run share its answers. Default: teach, or the "
            "recipe's name where it asks other questions or in a way of its own."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="'default', a Hugging Face id, a folder, or a GGUF file.")
    ] = None,
    questions: Annotated[
        str | None,
        typer.Option(
            help="'builtin', a hub set such as triviaqa, or a file; default: the built-in set."
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Questions to draw, evenly over domains; 0 for all. Default: the recipe's size."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML or JSON file with settings; what it does not name is the arm's."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, as teach.learning_rate=5e-5.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    figures: FiguresFolder = Path("figures"),
    replace: Replace = False,
    keep_code_version: KeepCodeVersion = False,
    push_to_hub: Annotated[
        str | None,
        typer.Option(
            help="owner/name on the Hugging Face hub to upload the adapter and its card to."
        ),
    ] = None,
) -> None:
    """Teach a recipe's arms and their shuffled controls, and measure them on held-out questions.
    Resumes where it was stopped.
    """
    from workbench.cli.terminal import show_rows
    from workbench.experiments.recipes.run import adapter_folders, teach_recipe
    from workbench.pipeline.stages import Reuse
    from workbench.teach.hub import check_repository, push_adapter
    from workbench.teach.recipes import recipe_named
    from workbench.teach.recipes.recipe import SIZE

    chosen = recipe_named(recipe)
    wanted = _arms(chosen, arms)
    if push_to_hub is not None:
        check_repository(push_to_hub)
        if len(wanted or chosen.default) > 1 or seeds > 1:
            raise WorkbenchError(
                "--push-to-hub uploads one adapter; choose one arm with --arms and one seed."
            )
        (arm,) = wanted or chosen.default
        if chosen.arm(arm).head_reader is not None:
            raise WorkbenchError(
                f"The confidence of {arm!r} is read by a separate network, which the hub's "
                "formats do not hold; choose an arm that states it."
            )
    given = {
        "model.name": model,
        "questions.source": questions,
        "questions.limit": limit,
        "seed": seed,
    }
    overrides = {
        **read_assignments(set_ or []),
        **{key: value for key, value in given.items() if value is not None},
    }
    if hold_out:
        overrides["questions.held_out_domains"] = hold_out
    if overrides.get("questions.limit") == 0:
        overrides["questions.limit"] = None
    settings = resolve(
        RunConfig(),
        {**chosen.size, **chosen.settings},
        {},
        user_settings(config, overrides),
    )
    own = chosen.name if chosen.settings or chosen.size != SIZE else "teach"
    name = own if name is None else name
    run_folder = own_folder(folder_named(runs, name))
    page_folder = own_folder(folder_named(figures, name))
    screen = Console(stderr=True)
    with bars(screen):
        found = teach_recipe(
            settings,
            chosen,
            run_folder,
            page_folder,
            arms=wanted,
            seeds=seeds,
            reprobe=reprobe,
            reuse=Reuse(replace, keep_code_version),
        )
    show_rows(_out(), found.rows)
    screen.print(Text(safe_text(f"\nFigures: {found.page}\nTables and adapters: {found.folder}")))
    if push_to_hub is not None and is_first_process():
        (folder,) = adapter_folders(settings, chosen, run_folder, wanted)
        screen.print(Text(f"Uploaded: {push_adapter(folder, push_to_hub)}"))


def recipes() -> None:
    """List the recipes and their arms; those taught without --arms carry a star."""
    from workbench.teach.recipes import RECIPES

    table = Table("recipe", "arm", "", box=None, header_style="bold")
    for recipe in RECIPES.values():
        table.add_row(Text(recipe.name, style="bold"), "", Text(f"{recipe.about}; {recipe.source}"))
        for arm in recipe.arms:
            star = "*" if arm.name in recipe.default else ""
            table.add_row("", Text(arm.name + star), Text(arm.about))
    _out().print(table)


def _arms(recipe: Recipe, given: str | None) -> list[str]:
    """Return the arms that --arms names, which the recipe must have; none where it is not given."""
    if given is None:
        return []
    if given.strip() == "all":
        return [arm.name for arm in recipe.arms]
    return [recipe.arm(name).name for name in listed("--arms", given)]


def _out() -> Console:
    out = Console(file=sys.stdout)
    return out if out.is_terminal else Console(file=sys.stdout, width=_WIDE)
