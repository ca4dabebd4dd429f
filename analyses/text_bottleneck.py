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
# # Where is what the model knows lost?
#
# A model may know which of its answers are right, hold it at the place where it writes its
# confidence, have it in the probabilities of the numbers, and still write the same number every
# time. This follows the knowledge step by step on the held-out questions of a finished run: before
# teaching, after it, and with an adapter taught on shuffled targets. It names the step that loses
# most, and asks whether a fixed map of the output would undo it.
#
# As a script it writes `figures/<run>/bottleneck/`. The run is made first if there is none.
# Parameters can be replaced from outside, see `workbench.notebook`.

# %%
from workbench.experiments.text_bottleneck.run import BottleneckParameters
from workbench.notebook import run_experiment, show, tell

# %%
parameters = BottleneckParameters(
    lens=True,  # read the scale after every layer
    lens_questions=140,  # training questions that lenses' readings are fitted on
    geometry=True,  # compare directions at every layer with random ones beside them
    interventions=True,  # take out, swap, push and put onto the numbers the probe's direction
    ceiling=True,  # find the heads and MLPs that write the ceiling
    ceiling_questions=8,  # questions they are found on, and as many for a test
    ceiling_told=32,  # held-out questions that the text is to tell without them
    condition_questions=140,  # training questions read of the adapter taught on shuffled targets
    curriculum=False,  # teach the two-stage curriculum and follow both stages
)

# %%
bottleneck = run_experiment("text_bottleneck", parameters)

# %% [markdown]
# ## Step by step
#
# Every bar reads the same questions: probes before the answer, after it and at the confidence
# position; the best reading of all number logits; their mean; the text. Between two bars stands
# what is lost, paired over questions. A value at a step is what *this* reading finds there.

# %%
show(bottleneck.page.figures["waterfall"])

# %% [markdown]
# ## Where it can be read
#
# The probes' curves over layers, on held-out questions.

# %%
show(bottleneck.page.figures["layers"])

# %% [markdown]
# ## In the space that numbers are read from
#
# What would the model write if the layers above were not there? The logit lens takes a state for
# the last layer's; the tuned lens maps it first, by one affine map a layer that was fitted to what
# the model itself says in the end.

# %%
show(bottleneck.page.figures.get("lenses"))

# %% [markdown]
# ## Geometry by layer
#
# Is the probe's direction one of those that numbers are written along? Correlations of readings
# over held-out questions, what of the probe's pattern survives the final norm and the head, and
# along how many dimensions questions move the numbers. Bands are the same numbers of probes of
# shuffled grades, or of random readouts: a curve inside its band is nothing that the direction has
# of its own.

# %%
show(bottleneck.page.figures.get("geometry"))

# %% [markdown]
# ## One direction
#
# Is what is said carried by the probe's direction, and would it be enough to put its reading onto
# the numbers? Taken out, swapped between questions and pushed, each beside random directions.

# %%
show(bottleneck.page.figures.get("removed"))
show(bottleneck.page.figures.get("swapped"))
show(bottleneck.page.figures.get("pushed"))

# %% [markdown]
# ## Who writes the ceiling
#
# The few values that nearly all answers are given stand above all others by a margin. Each head and
# MLP is given, at the number, its mean over ordinary tokens of other questions: what the margin
# loses is its share. The bars show the largest by true ablation, beside two cheaper attributions.

# %%
show(bottleneck.page.figures.get("ceiling_writers"))

# %% [markdown]
# The largest are then ablated together on held-out questions, beside random sets of as many heads
# and MLPs.

# %%
show(bottleneck.page.figures.get("ceiling_doses"))

# %% [markdown]
# ## In short
#
# The verdict follows a rule that was written down before: a station tells if it beats shuffled
# grades within domain; it lost the signal if it keeps less than half of the best earlier excess and
# the paired difference is above zero. A fixed map is the same for every question: if one makes the
# text tell right from wrong, nothing has to be learned inside the model.

# %%
tell(bottleneck)
