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
# # What holds, and what was luck?
#
# One training on one machine shows what can happen. Here the same model is taught many times, on
# questions that the default run does not ask: with several seeds, with matrix products in float32
# and in bfloat16 (emulated where the processor has no units for them), and in several ways. Every
# training is patched on the same held-out questions.
#
# A way of teaching may be the default only if it meets the criterion in every training. The
# criterion was written down before any of them was trained, see
# `workbench.experiments.robustness.variants`.
#
# As a script it writes `figures/<run>/`: the page, the figures, and tables with one line a training
# and measure, and a training and layer. Two processes can share the work: give each one of the
# precisions, and then run the script without.

# %%
from workbench.experiments.robustness.run import RobustnessParameters
from workbench.notebook import run_experiment, show, tell

# %%
parameters = RobustnessParameters(
    variants=("all-layers", "published", "upper-half", "low-ratio"),
    precisions=("float32", "bfloat16"),
    seeds=5,  # trainings of each
    windows=("all-layers",),  # read with the adapter in some layers only
)

# %%
robustness = run_experiment("robustness", parameters)
figures = robustness.page.figures

# %% [markdown]
# ## What holds
#
# Donors from other questions: the slope of the patched confidence on the donor's own confidence.
# Where the curves of all trainings lie on one another, the layer from which the state carries the
# confidence is a property of the model.

# %%
show(figures.get("donor_slope"))

# %% [markdown]
# ## What varies
#
# Own donors: how much of the taught level arrives. A curve above 1 overshoots.

# %%
show(figures.get("shift"))

# %% [markdown]
# ## Why it overshoots
#
# The adapter on in some layers only. Where the curve of the layers up to l passes 1, those after l
# take back what those before have moved.

# %%
for name in parameters.windows:
    show(figures.get(f"windows_{name.replace('-', '_')}"))

# %% [markdown]
# ## In short
#
# All trainings share the questions and one precision's share the answers and targets, so the spread
# between seeds is that of training alone. What other questions or another model would change is not
# in it.

# %%
tell(robustness)
