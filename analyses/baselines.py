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
# # What confidence costs without training
#
# Every baseline that needs no training, on the same greedy answers: likelihoods of the answer,
# closed questions about it, sampled answers that agree with it or spread over meanings, lists of
# guesses, and the stated confidence itself. How well each tells right answers from wrong ones
# is shown over the tokens it makes the model compute.
#
# As a script it writes `figures/<run>/`: the page, the figures, one table with a line a baseline
# and one with every score. Parameters can be replaced from outside, see `workbench.notebook`.

# %%
from workbench.experiments.baselines.run import BaselineParameters
from workbench.notebook import run_experiment, show, tell

# %%
parameters = BaselineParameters(
    samples=10,  # sampled answers of each question
    temperature=1.0,
    open_baselines=(),  # all that apply
)

# %%
baselines = run_experiment("baselines", parameters)

# %% [markdown]
# ## Open questions
#
# Cost counts tokens the model computes for that baseline alone once the greedy answer is there:
# prompts, and sampled or listed tokens. All samples of a question share one computation of its
# prompt; the questions about an answer share that of prompt and answer. A dot high on the left and
# low on the right only knows which domain is hard.

# %%
show(baselines.page.figures["open"])

# %% [markdown]
# ## The same questions as a choice
#
# Options are answers to other questions of the domain. P_IC is the largest option's probability as
# a share of all options; the largest option probability is not divided, so it also falls where the
# model would rather say something else.

# %%
show(baselines.page.figures["choice"])

# %% [markdown]
# ## In short
#
# The intervals are 95 % bootstrap intervals over questions. Two baselines are measured on the same
# questions, so that overlapping intervals do not show that they are alike.
#
# Cost is counted, not timed: a token that is sampled takes longer than one that is read. And a
# baseline that does well here may do so because these domains differ in difficulty; look within
# domain.

# %%
tell(baselines)
