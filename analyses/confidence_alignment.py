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
# # Does the model say how sure it is?
#
# Two confidences about the same answer to a choice question. The internal one, P_IC, is the largest
# option's probability as a share of all options, from one forward where the answer begins. The
# stated one is what the model says when the chosen letter is quoted and it is asked how sure it is:
# from 1 to 100 or in six terms, in its own voice or about "a language model", with the options or
# without. Alignment is the rank correlation of the two (Kumar et al. 2024, arXiv 2405.16282).
#
# As a script it writes `figures/<run>/`: the page, the figures, and the tables they are drawn from.
# There are no parameters beside the run's settings, which can be replaced from outside, see
# `workbench.notebook`.

# %%
from workbench.notebook import run_experiment, show, tell

# %% [markdown]
# ## Reading
#
# Open questions become choices: wrong options are answers to other questions of the domain, in
# random order. One forward a question gives the probability of every letter; nine prompts quote the
# likeliest and ask for the confidence in it.

# %%
alignment = run_experiment("confidence_alignment")
figures = alignment.page.figures

# %% [markdown]
# ## First: does it answer options or letters?
#
# Where accuracy cannot be told from chance, or one letter is chosen whatever it names, P_IC
# is a liking for a letter. Then the rest of this page describes the model's habits, not its
# knowledge.

# %%
show(figures["letters"])

# %% [markdown]
# ## Alignment by ingredients
#
# rho with its 95 % bootstrap interval. What it rests on is written in the cell: how many replies
# could be read, and how many of those state the most there is. Pairs that are shuffled must give
# zero; shuffled within their domain they give what knowing the domain gives.

# %%
show(figures["ablation"])

# %% [markdown]
# ## Four cells of the full prompt
#
# Third person, options shown, six terms under letters: the text (where a reply could be read), and
# the expected score over the letters.

# %%
show(figures.get("cells_stated"))

# %%
show(figures.get("cells_expected"))

# %% [markdown]
# ## Which of them knows which answers are right?
#
# Alignment alone does not say that either confidence is worth anything: two that agree may be wrong
# together. And a low alignment may be the work of one prompt's words, which the grid above
# shows.

# %%
show(figures["discrimination"])

# %%
tell(alignment)
