# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which recipe teaches a model to say what it knows?
#
# Every recipe on the same questions, with the same split and several training seeds, in one table:
# what the taught model states as text and expects, how well that tells right answers from wrong
# ones within a domain, how far it is calibrated, the gain over the base model, and what it cost.
# One domain is held out: nothing of it is taught, and it is tested on. Beside the arms stand the
# base model, the base model recalibrated after the fact, and controls taught on shuffled targets.
#
# Run as a script it writes `figures/<run>/league/`: page, figures, `league.parquet`, and
# `league.json` with the same numbers and the configuration that made them. Each recipe's own page,
# with paired differences, stands in `figures/<run>/<recipe>/`. Opened as a notebook it draws below
# the cells. Stopped and started again, it goes on where it was.
#
# | variable | meaning | default |
# |---|---|---|
# | `WORKBENCH_MODEL` | a hub id, a folder, or a GGUF file | the small default model |
# | `WORKBENCH_QUESTIONS` | a JSONL, CSV or parquet file | the built-in questions |
# | `WORKBENCH_LIMIT` | questions to draw, evenly over domains | the settings' default |
# | `WORKBENCH_CONFIG` | a YAML or JSON file with any other setting | the settings' defaults |
# | `WORKBENCH_RUN` | name of the run | `recipes` |
# | `WORKBENCH_RECIPES` | recipes, by commas | all of them |
# | `WORKBENCH_ARMS` | arms by commas, `default` for the default ones of each recipe, or `all`; a recipe that has none of them is left out | `default` |
# | `WORKBENCH_SEEDS` | trainings of each arm | 3 |
# | `WORKBENCH_STEPS` | updates of every arm that samples replies | each arm's own number |
# | `WORKBENCH_HOLD_OUT` | domains that are not taught, by commas; `none` | `elements` among the built-in questions, else none |

# %%
from __future__ import annotations

import sys

import numpy as np

from workbench.cli.terminal import bars
from workbench.config import with_defaults
from workbench.experiments.league.comparison import (
    IN_DOMAIN,
    compare_recipes,
    finished_recipe,
)
from workbench.experiments.league.page import sections, write_league
from workbench.experiments.recipes.run import teach_recipe
from workbench.measure import Bootstrap
from workbench.notebook import asked_config, asked_reuse, console, option, root, show
from workbench.teach.recipes import RECIPES, check_needs, recipe_named
from workbench.teach.recipes.choosing import select_arms

# %%
config, name = asked_config(), option("RUN", "recipes")
recipes = [recipe_named(each.strip()) for each in option("RECIPES", ",".join(RECIPES)).split(",")]
arms, seeds = select_arms(recipes, option("ARMS", "default")), int(option("SEEDS", "3"))
check_needs(
    recipe.arm(arm) for recipe in recipes if recipe.name in arms for arm in arms[recipe.name]
)
steps = int(option("STEPS", "0")) or None
built_in = config.questions.source == "builtin"
held_out = [
    part.strip()
    for part in option("HOLD_OUT", "elements" if built_in else "none").split(",")
    if part != "none"
]

# %% [markdown]
# ## Teaching
#
# Recipes that ask for confidence in the same way share answers, readings and probes. Nothing is
# chosen on held-out questions: every arm runs with the settings it came with.

# %%
played, configuration = [], {}
for recipe in [each for each in recipes if each.name in arms]:
    updates = (
        {"teach.on_policy_steps": steps}
        if any(recipe.arm(arm).on_policy for arm in arms[recipe.name])
        else {}
    )
    settings = with_defaults(
        config, {**recipe.settings, **updates, "questions.held_out_domains": held_out}
    )
    run = "-".join([name, *map(str, recipe.settings.values())])
    with bars(console()):
        found = teach_recipe(
            settings,
            recipe,
            root() / "runs" / run,
            root() / "figures" / name,
            arms=arms[recipe.name],
            seeds=seeds,
            reuse=asked_reuse(),
        )
    played.append(
        finished_recipe(
            recipe.name, found.folder, found.summary, settings.questions.held_out_domains
        )
    )
    configuration[recipe.name] = {
        "arms": arms[recipe.name],
        "seeds": seeds,
        "run": settings.model_dump(mode="json"),
    }

# %% [markdown]
# ## The league
#
# A value is the mean over seeds; its interval comes from questions resampled within their domain
# and resampled seeds. Lines stand on the same questions, so that overlapping intervals do not show
# that two are alike: each line's gain over the base model is paired by question, and a recipe's own
# page has more paired differences.

# %%
standings = compare_recipes(played, Bootstrap(config.bootstrap_resamples, config.seed))
caption = f"{config.model.shown}, {seeds} seed{'s' * (seeds > 1)}" + (
    f", held out: {', '.join(held_out)}" if held_out else ""
)
figures = sections(standings, caption)
for section in figures:
    show(section.figure)

# %%
page = root() / "figures" / name / "league"
index, rows = write_league(page, standings, configuration, figures)
best = max(
    (one for one in standings if one.part == IN_DOMAIN and one.taught),
    key=lambda one: np.nan_to_num(one.estimates["AUROC2 expected within"].value, nan=-1),
)
lines = [
    f"{row['questions']:14}{row['recipe']:14}{row['arm']:24}"
    + "".join(
        f"{' '.join(row[heading].split()):>26}"
        for heading in ("AUROC2 expected within", "ECE expected")
    )
    for row in rows
]
lines.append(f"largest expected AUROC2 within domain, in domain: {best.name}")
sys.stdout.write("\n".join([*lines, f"figures: {index}"]) + "\n")
