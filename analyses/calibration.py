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
# # What makes calibration tuning work?
#
# A model is taught to say whether its own answer is right (recipe `calibration`, Kapoor et al.
# 2024). Here the recipe is taken apart: how many graded answers it takes, what the pull towards the
# base model does, how much of the estimate comes from the question alone, and whether what was
# learnt holds for another model's answers, another form of question, and questions that have no
# answer.
#
# As a script it writes `figures/<run>/calibration/`: page, figures, `ablations.parquet`, and
# `ablations.json` with the configuration that made them. Parameters can be replaced from outside,
# see `workbench.notebook`.

# %%
from workbench.experiments.calibration.study import CalibrationParameters
from workbench.notebook import run_experiment, show_sections, tell

# %%
parameters = CalibrationParameters(
    form="open",  # that is taught; the other one, choice, is taught and judged too
    percents=(25, 50),  # of the labels; all labels are always taught
    other_answers=None,  # JSONL of graded answers by another model, answer/graded.jsonl of its run
    unanswerable=None,  # questions some of which have no answer: a file or a hub set, "selfaware"
)

# %% [markdown]
# ## Teaching and judging
#
# Everything is taught with one seed on one split, which a hash of the question decides: a question
# that is held out in one form is held out in the other. A fifth of the training questions is kept
# back by every arm, so that labels are counted from four fifths of them.

# %%
calibration = run_experiment("calibration", parameters)

# %% [markdown]
# ## In pictures
#
# Each figure has its question as a heading and a sentence on how to read it. All intervals are 95 %
# bootstrap intervals over held-out questions. Where two conditions are compared, the paired
# difference counts, not whether their intervals overlap.

# %%
show_sections(calibration.page)

# %% [markdown]
# ## In short
#
# What none of the figures shows: another training seed, another draw of labels, and whether the
# estimate is of use to whoever reads it. What was left out is named below, with the reason.

# %%
tell(calibration)
