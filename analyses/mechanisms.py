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
# # How is verbal confidence made? Published claims on one run
#
# Several works say how a language model comes to state its confidence. Each is tested here on a
# finished run, by a rule that was written down before, or that says what of it was changed after
# numbers were seen: a claim is **confirmed**, **contradicted**, or the numbers **cannot tell**. The
# rules, their power and their errors are in `workbench bench mechanisms`.
#
# As a script it writes `figures/<run>/<work>/` for each work. The run is made first if there is
# none. Settings of the run can be replaced from outside, see `workbench.notebook`; parameters of
# one work are given to `workbench experiment <work>`.

# %%
from workbench.mechanisms.catalogue import WORKS
from workbench.mechanisms.gather import gather
from workbench.notebook import run_experiment, show, tell

# %%
works = tuple(WORKS)  # those that are tested, by the name of their experiment

# %%
tested = {name: run_experiment(name) for name in works}

# %% [markdown]
# ## The numbers, with their controls beside them
#
# Each figure has its quantities in one unit. A control is a number in which only chance should be
# seen; an effect counts for as much as it exceeds that.

# %%
for finished in tested.values():
    for figure in finished.page.figures.values():
        show(figure)

# %% [markdown]
# ## Verdicts
#
# One run has one seed and one set of questions. `docs/record_mechanisms.py` gathers several runs
# into one table over works, models and seeds.

# %%
verdicts = gather(record for finished in tested.values() for record in finished.results.records)
{
    (str(each.subject), claim): outcome
    for each in verdicts
    for claim, outcome in each.outcomes.items()
}

# %%
for finished in tested.values():
    tell(finished)
