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
# # Does confidence taught on one domain carry over to the others?
#
# One arm of a recipe, taught on each domain of the questions alone, on a mixture of all of as many
# questions, and on all of them; every one is measured on every domain's held-out questions. Beside
# them stand the base model and controls taught on shuffled targets.
#
# Run as a script it writes `figures/<run>/transfer/`: page, matrices, `league.parquet`, and
# `league.json` with the same numbers and the configuration that made them; the arms side by side,
# with paired differences, stand in `figures/<run>/<recipe>/`. Opened as a notebook it draws below
# the cells. Stopped and started again, it goes on where it was. Every domain needs 50 training
# questions, more where the arm keeps some back or balances bins: `metacognition` wants domains that
# the model answers alike when asked again.
#
# | variable | meaning | default |
# |---|---|---|
# | `WORKBENCH_MODEL` | a hub id, a folder, or a GGUF file | the small default model |
# | `WORKBENCH_QUESTIONS` | a JSONL, CSV or parquet file | the built-in questions |
# | `WORKBENCH_DOMAINS` | the domains, by commas | all of the questions' |
# | `WORKBENCH_LIMIT` | questions to draw, evenly over domains | 800 |
# | `WORKBENCH_CONFIG` | a YAML or JSON file with any other setting | the settings' defaults |
# | `WORKBENCH_RUN` | name of the run | `transfer` |
# | `WORKBENCH_RECIPE` | the recipe | `probe` |
# | `WORKBENCH_ARM` | the arm of it | `soft` |
# | `WORKBENCH_SEEDS` | trainings of each arm | 3 |

# %%
from __future__ import annotations

import sys

from workbench.cli.terminal import bars
from workbench.config import with_defaults
from workbench.experiments.league.comparison import compare_recipes, domains_of, finished_recipe
from workbench.experiments.league.domain_transfer import domain_sections
from workbench.experiments.league.page import write_league
from workbench.experiments.recipes.run import taught_domains, teach_recipe
from workbench.measure import Bootstrap
from workbench.notebook import asked_config, asked_reuse, console, option, root, show
from workbench.teach.recipes import recipe_named
from workbench.teach.recipes.domains import domain_arm, split_arm_by_domain

# %%
name, seeds = option("RUN", "transfer"), int(option("SEEDS", "3"))
source, arm = recipe_named(option("RECIPE", "probe")), option("ARM", "soft")
asked = [part.strip() for part in option("DOMAINS", "").split(",") if part.strip()]
config = with_defaults(
    asked_config(questions__limit=800),
    {**source.settings, "questions.domains": asked, "questions.held_out_domains": []},
)
folder = root() / "runs" / "-".join([name, *map(str, source.settings.values())])
domains = taught_domains(config, folder, asked_reuse())
recipe = split_arm_by_domain(source, arm, domains)

# %% [markdown]
# ## Teaching
#
# Targets of an arm taught on one domain are made from that domain's questions alone. Nothing is
# chosen on held-out questions.

# %%
with bars(console()):
    found = teach_recipe(
        config, recipe, folder, root() / "figures" / name, seeds=seeds, reuse=asked_reuse()
    )

# %% [markdown]
# ## From one domain to the others
#
# A value is the mean over seeds; its interval comes from questions resampled within their domain
# and resampled seeds. Gains over the base model are paired by question: they tell whether a domain
# that was not taught got better, whatever its level before.

# %%
standings = compare_recipes(
    [finished_recipe(recipe.name, found.folder, found.summary, ())],
    Bootstrap(config.bootstrap_resamples, config.seed),
    parts=domains_of,
)
homes = {domain_arm(arm, domain): domain for domain in domains}
examples = [found.summary[f"training.examples.{each.name}"] for each in recipe.arms]
taught = ", ".join(
    f"{each.name} {count}" for each, count in zip(recipe.arms, examples, strict=True)
)
figures = domain_sections(
    standings,
    homes,
    f"{config.model.shown}, {seeds} seed{'s' * (seeds > 1)}; examples taught: {taught}",
)
for section in figures:
    show(section.figure)

# %%
configuration = {"recipe": recipe.name, "arm": arm, "domains": domains, "seeds": seeds}
index, rows = write_league(
    root() / "figures" / name / "transfer",
    standings,
    {**configuration, "run": config.model_dump(mode="json")},
    figures,
    "Does confidence taught on one domain carry over to the others?",
)
lines = [
    f"{row['questions']:18}{row['arm']:32}{' '.join(row['AUROC2 expected within'].split()):>26}"
    for row in rows
]
sys.stdout.write("\n".join([*lines, f"figures: {index}"]) + "\n")
