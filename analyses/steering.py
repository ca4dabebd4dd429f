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
# # Can the model be steered into saying what it knows?
#
# The probe of a finished run has a direction in the residual stream along which right answers lie.
# Here that direction is added to the base model's states while it writes its confidence, layer by
# layer and length by length, and so are random directions of the same length. The published finding
# is a null: steering moves how much confidence is stated, not how well it tells right answers from
# wrong ones.
#
# As a script it writes `figures/<run>/steering/`. The run is made first if there is none.
# Parameters can be replaced from outside, see `workbench.notebook`.

# %%
from workbench.experiments.steering.run import SteeringParameters
from workbench.notebook import run_experiment, show, tell

# %%
parameters = SteeringParameters(
    n_questions=120,  # held-out questions
    layers=4,  # spread evenly
    random=3,  # random directions beside the probe's
    lengths=(0.5, 1.0, 2.0),  # either way, in standard deviations of a layer's states
)

# %%
steering = run_experiment("steering", parameters)

# %% [markdown]
# ## What a push does
#
# The push is added at the confidence position and at every further token of the number. Its length
# is measured in standard deviations of the layer's states over training questions, all directions
# together. Above: the level of confidence; below: whether it tells right from wrong, in the
# distribution and in the number that greedy decoding writes.

# %%
show(steering.page.figures["steering"])

# %% [markdown]
# ## In short
#
# The rule for the null, before looking: it is **rejected** if for some layer and length the
# expected confidence gains AUROC2 within domain along the probe's direction, with an interval above
# zero at 95 % for all pushes together (Bonferroni), and more than every random direction there. A
# null says nothing of directions, layers and lengths that were not tried.

# %%
tell(steering)
