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
# # Are known circuits found?
#
# Three results of the literature, looked for in a model they were not found in. Every task is a set
# of pairs of prompts. The states of one prompt of a pair are put into the run of the other, at one
# place and layer after another, and the answer is read. What was found before:
#
# * indirect objects: the giver's token carries the name early, the last token late, by few heads;
# * capital facts: the subject's last token early, the last token late;
# * greater-than years: the first year early, the last token late.
#
# What is found here is reported as it is found.
#
# As a script it writes `figures/<run>/`: the page, the figures, and tables with one line a pair,
# cell and head. Parameters can be replaced from outside, see `workbench.notebook`.

# %%
from workbench.experiments.known_circuits.run import CircuitParameters
from workbench.notebook import run_experiment, show, tell

# %%
parameters = CircuitParameters(
    tasks=("indirect_objects", "capitals", "years"),
    pairs=32,  # of prompts, for each task
    layers=15,  # of the maps by place, spread evenly; heads are patched in all
)

# %% [markdown]
# ## What is patched
#
# The two prompts of a pair differ in one name, country or digit. Places are aligned by what stands
# there, so a country of two tokens may be paired with one of one. The prompt's answer minus the
# donor's is read as a difference of logits; of years, the probability of a later decade minus that
# of an earlier one. Both directions are patched: what the donor's state suffices for in the
# prompt's run, and the other way round.
#
# Beside each effect stand a random vector of the same length, a random other token, and the run's
# own states, whose effect is the noise floor: cells within it are hatched.

# %%
circuits = run_experiment("known_circuits", parameters)
figures = circuits.page.figures

# %% [markdown]
# ## Layer by place
#
# Shift 0: nothing moved; shift 1: the reading is that of the run the state came from. The last
# layer at the last token is 1 as a matter of course.

# %%
for name in parameters.tasks:
    for direction in ("donor_into_prompt", "prompt_into_donor"):
        show(figures.get(f"{name}_{direction}"))
        show(figures.get(f"{name}_{direction}_controls"))

# %% [markdown]
# ## Attribution beside it
#
# The gradient estimates every cell from one backward pass. Rank correlation says whether it finds
# the same cells, the slope whether it has their size.

# %%
for name in parameters.tasks:
    show(figures.get(f"{name}_donor_into_prompt_attribution"))
    show(figures.get(f"{name}_agreement"))

# %% [markdown]
# ## Which heads move the name?
#
# Every head alone gets the donor's output at the last token. The heads that move most are chosen on
# every other pair and measured on the rest.

# %%
for part in ("heads", "heads_chosen", "heads_attribution_0", "heads_attribution_1"):
    show(figures.get(f"indirect_objects_{part}"))

# %% [markdown]
# ## In short
#
# A patch shows what a state suffices for where it is put, not that the model reads it from there.
# Pairs share names and countries, so the intervals over pairs are somewhat too narrow.

# %%
tell(circuits)
