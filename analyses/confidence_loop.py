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
# # Does the model know when it is wrong?
#
# A language model asked for its confidence tends to state a number near 100 for nearly everything.
# This analysis asks whether its hidden states know better, where that knowledge sits, whether it
# causes the stated number, and whether the model can be taught to say it. It is the loop of
# `workbench run`, through the library.
#
# As a script it writes `figures/<run>/`; as a notebook it draws below the cells. Stopped and
# started again, it goes on where it was. There are no parameters beside the run's settings, which
# can be replaced from outside, see `workbench.notebook`.

# %%
from workbench.notebook import run_experiment, show, tell

# %% [markdown]
# ## The loop
#
# Greedy answers, graded; confidence as text and as the exact distribution over 0-100; the residual
# stream of every layer at three positions; a linear probe at each; an adapter taught on the probe's
# cross-fitted output, and one taught on shuffled targets; the same readouts again; and the tuned
# model's states put into the base model layer by layer, with controls. Every number below is
# measured on questions that neither a probe nor an adapter was fitted on.

# %%
loop = run_experiment("confidence_loop")
figures = loop.page.figures

# %% [markdown]
# ## What it says, and what it knows
#
# AUROC2 is the probability that a right answer got more confidence than a wrong one. If the text
# lies far left of the probe before training, the model knows and does not say: the text
# bottleneck. The panel within domain leaves out what knowing the domain's difficulty alone would
# give.

# %%
show(figures["bottleneck"])

# %%
show(figures.get("stated_confidence"))

# %%
show(figures["reliability"])

# %% [markdown]
# ## Where it knows
#
# One probe a layer and position, scored on held-out questions. Probes on shuffled labels show what
# nothing to learn reaches.

# %%
show(figures["auroc2_by_layer"])

# %% [markdown]
# ## Does it cause what is said?
#
# The tuned model's state replaces the base model's after one layer, at the token before the number.
# A rising curve alone localises little: a patch of the last layer trivially moves everything, and a
# donor from another question moves the mean just as far. So look at *following*: with donors from
# other questions, a donor slope of 1 and a base slope of 0 say that the state carries that very
# item's confidence.

# %%
show(figures["patching"])

# %%
show(figures["following"])

# %%
show(figures["layer_question"])

# %% [markdown]
# ## In short
#
# The tables of these numbers are in `runs/<run>/`.
#
# One training with one seed on one set of questions: what another seed changes, `workbench run
# --seeds 5` shows, and what other questions change, no interval here holds. A model that was taught
# to say what its probe reads says no more than the probe reads; whether the probe knows more than
# how hard a question is, its rivals on the page tell.

# %%
tell(loop)
