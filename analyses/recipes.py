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
# One domain is held out: nothing of it is taught, and it is tested on. Next to the arms are the
# base model, the base model recalibrated after the fact, and the same arms taught on shuffled
# targets.
#
# As a script it writes `figures/<run>/league/`: page, figures, `league.parquet`, and `league.json`
# with the same numbers and the configuration that made them. Each recipe's own page, with paired
# differences, is in `figures/<run>/<recipe>/`. Parameters can be replaced from outside, see
# `workbench.notebook`; the domains held out are the setting `questions.held_out_domains`.

# %%
from __future__ import annotations

from workbench.experiments.league.run import LeagueParameters
from workbench.notebook import (
    run_experiment,
    show_sections,
    tell,
)
from workbench.teach.recipes import RECIPES

# %%
parameters = LeagueParameters(
    recipes=tuple(RECIPES),
    arms=("default",),  # names, "default" for each recipe's default ones, or "all"
    seeds=3,  # trainings of each arm
    on_policy_steps=None,  # updates of arms that sample replies; None for each arm's own number
)

# %% [markdown]
# ## Teaching
#
# Recipes that ask for confidence in the same way share answers, readings and probes. Nothing is
# chosen on held-out questions: every arm runs with the settings it came with.

# %%
league = run_experiment("league", parameters)

# %% [markdown]
# ## The league
#
# A value is the mean over seeds; its interval comes from questions resampled within their domain
# and resampled seeds. Lines are measured on the same questions, so that overlapping intervals do
# not show that two are alike: each line's gain over the base model is paired by question, and a
# recipe's own page has more paired differences.

# %%
show_sections(league.page)

# %% [markdown]
# ## In short
#
# The league orders recipes on these questions, this model and the settings they came with. It does
# not show what each could do with settings of its own, nor, with a few seeds, which of two that lie
# close together is the better one. A recipe is only worth its line if its arm on shuffled targets
# stays at the base model.

# %%
tell(league)
