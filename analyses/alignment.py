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
# Run as a script it writes `figures/<run>/`: the page, the figures, and the tables behind them.
# Opened as a notebook it draws below the cells. Stopped and started again, it goes on where it was.
#
# | variable | meaning | default |
# |---|---|---|
# | `WORKBENCH_MODEL` | a hub id, a folder, or a GGUF file | the small default model |
# | `WORKBENCH_QUESTIONS` | `builtin`, a hub set such as `commonsense_qa`, or a JSONL, CSV or parquet file | the built-in questions |
# | `WORKBENCH_LIMIT` | questions to draw, evenly over domains | 200 |
# | `WORKBENCH_CONFIG` | a YAML or JSON file with any other setting | the settings' defaults |
# | `WORKBENCH_RUN` | name of the run | `alignment` |

# %%
from __future__ import annotations

import sys

from workbench.cli.terminal import bars
from workbench.experiments.confidence_alignment.page import (
    caption_of,
    cells,
    discrimination,
    grid,
    letters,
    lines,
    write_alignment,
)
from workbench.experiments.confidence_alignment.read import read_alignment
from workbench.experiments.confidence_alignment.results import READOUTS, measure_alignment
from workbench.notebook import asked_config, asked_reuse, console, option, root, show

# %%
config, name = asked_config(questions__limit=200), option("RUN", "alignment")
folder, page = root() / "runs" / name, root() / "figures" / name

# %% [markdown]
# ## Reading
#
# Open questions become choices: wrong options are answers to other questions of the domain, in
# random order. One forward a question gives the probability of every letter; nine prompts quote the
# likeliest and ask for the confidence in it.

# %%
with bars(console()):
    confidences = read_alignment(config, folder, asked_reuse())
results = measure_alignment(confidences, resamples=config.bootstrap_resamples, seed=config.seed)
caption = caption_of(results, config)

# %% [markdown]
# ## First: does it answer options or letters?
#
# Where accuracy cannot be told from chance, or one letter is chosen whatever stands behind it, P_IC
# is a liking for a letter. Then the rest of this page describes the model's habits, not its
# knowledge.

# %%
show(letters(results, caption).figure())

# %% [markdown]
# ## Alignment by ingredients
#
# rho with its 95 % bootstrap interval. What it rests on stands in the cell: how many replies could
# be read, and how many of those state the most there is. Pairs that are shuffled must give zero;
# shuffled within their domain they give what knowing the domain gives.

# %%
show(grid(results, caption).figure())

# %% [markdown]
# ## Four cells of the full prompt
#
# Third person, options shown, six terms behind letters: the text, and the expected score over the
# letters.

# %%
for readout in READOUTS:
    drawn = cells(results, readout, caption)
    if drawn is not None:
        show(drawn.figure())

# %% [markdown]
# ## Which of them knows which answers are right?
#
# Alignment alone does not say that either confidence is worth anything.

# %%
show(discrimination(results, caption).figure())

# %%
index = write_alignment(results, page, config)
report = [caption, results.answers.words]
for line in lines(results):
    report.append(
        f"{line['prompt']:<44}{line['readout']:<10}{line['rho']:<22}read {line['read']:<6}AUROC2 "
        f"{line['AUROC2']}"
    )
sys.stdout.write("\n".join([*report, f"figures: {index}"]) + "\n")
