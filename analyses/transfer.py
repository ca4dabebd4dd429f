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
# # Does confidence taught on one domain carry over to the others?
#
# One arm of a recipe, taught on each domain of the questions alone, on a mixture of all of as many
# questions, and on all of them; every one is measured on every domain's held-out questions. With
# them are the base model and the same arms taught on shuffled targets.
#
# As a script it writes `figures/<run>/transfer/`: page, matrices, `league.parquet`, and
# `league.json` with the same numbers and the configuration that made them; the arms side by side,
# with paired differences, are in `figures/<run>/<recipe>/`. Every domain needs 50 training
# questions, more where the arm keeps some back or balances bins: `metacognition` wants domains that
# the model answers alike when asked again. Parameters can be replaced from outside, see
# `workbench.notebook`; the domains are the setting `questions.domains`.

# %%
from __future__ import annotations

from workbench.experiments.transfer.run import TransferParameters
from workbench.notebook import (
    run_experiment,
    show_sections,
    tell,
)

# %%
parameters = TransferParameters(
    recipe="probe",
    arm="soft",
    seeds=3,  # trainings of each arm
)

# %% [markdown]
# ## Teaching
#
# Targets of an arm taught on one domain are made from that domain's questions alone. Nothing is
# chosen on held-out questions.

# %%
transfer = run_experiment("transfer", parameters)

# %% [markdown]
# ## From one domain to the others
#
# A value is the mean over seeds; its interval comes from questions resampled within their domain
# and resampled seeds. Gains over the base model are paired by question: they tell whether a domain
# that was not taught got better, whatever its level before.

# %%
show_sections(transfer.page)

# %% [markdown]
# ## In short
#
# A domain that gains from another one's teaching shares something with it; what that is, a level of
# confidence or knowledge of one's own answers, the figures of AUROC2 tell apart from those of the
# calibration error. Nothing here says how a domain would fare that is unlike all of these.

# %%
tell(transfer)
