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
# # Which directions carry the confidence into the number?
#
# A probe finds directions that go with a variable. Here directions of a finished run's model are
# learned by swapping: a question with another's coordinates should read as the other does. Then
# they are swapped between held-out questions, beside four placebos, and taken out, beside random
# directions, before teaching and after.
#
# As a script it writes `figures/<run>/learned_subspaces/`. The run is made first if there is none.
# Parameters can be replaced from outside, see `workbench.notebook`.

# %%
from workbench.experiments.learned_subspaces.run import LearnedSubspacesParameters
from workbench.notebook import run_experiment, show, tell

# %%
parameters = LearnedSubspacesParameters(
    layers=(),  # three over the upper half
    ranks=(1, 2, 4, 8),
    variable="confidence",  # or correct
    condition="both",  # before teaching and after
    n_train=128,  # training questions, searched on
    n_held_out=128,  # held-out questions, measured on
    epochs=20,
)

# %%
subspaces = run_experiment("learned_subspaces", parameters)

# %% [markdown]
# ## What a swap brings
#
# Interchange accuracy is the share of questions that, with another's coordinates, read on the
# other's side of the training median; the donor slope is in standard deviations. Any search finds
# something: a subspace is told from luck by as much as it exceeds all placebos.

# %%
for name in subspaces.page.figures:
    if name.startswith("swapped"):
        show(subspaces.page.figures[name])

# %% [markdown]
# ## What is lost without it
#
# States keep the training mean within the subspace. What is lost is the share of the expected
# confidence's spread over held-out questions, and AUROC2 within domain.

# %%
for name in subspaces.page.figures:
    if not name.startswith("swapped"):
        show(subspaces.page.figures[name])

# %% [markdown]
# ## In short

# %%
tell(subspaces)
