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
# stands over the tokens it makes the model compute.
#
# Run as a script it writes `figures/<run>/`: the page, the figures, one table with a line a
# baseline and one with every score. Opened as a notebook it draws below the cells. Stopped and
# started again, it goes on where it was.
#
# | variable | meaning | default |
# |---|---|---|
# | `WORKBENCH_MODEL` | a hub id, a folder, or a GGUF file | the small default model |
# | `WORKBENCH_QUESTIONS` | a JSONL, CSV or parquet file | the built-in questions |
# | `WORKBENCH_LIMIT` | questions to draw, evenly over domains | 140 |
# | `WORKBENCH_CONFIG` | a YAML or JSON file with any other setting | the settings' defaults |
# | `WORKBENCH_RUN` | name of the run | `baselines` |
# | `WORKBENCH_SAMPLES` | sampled answers of each question | 10 |

# %%
from __future__ import annotations

import sys

from workbench.cli.terminal import bars
from workbench.experiments.baselines import (
    compare_baselines,
    drawn_questions,
    settings_of,
    shown,
    write_baselines,
)
from workbench.notebook import asked_config, asked_reuse, console, option, root, show
from workbench.questions import choice_questions

CHOICE_BASELINES = (
    "expected",
    "likelihood",
    "first_entropy",
    "p_ic",
    "max_softmax",
    "p_true",
    "agreement",
    "weighted_agreement",
)

# %%
config, name = asked_config(questions__limit=140), option("RUN", "baselines")
settings = settings_of(config, samples=int(option("SAMPLES", "10")))
folder, page = root() / "runs" / name, root() / "figures" / name

# %% [markdown]
# ## Open questions
#
# Cost counts tokens the model computes for that baseline alone once the greedy answer is there:
# prompts, and sampled or listed tokens. All samples of a question share one computation of its
# prompt; the questions about an answer share that of prompt and answer. A dot high on the left and
# low on the right only knows which domain is hard.

# %%
with bars(console()):
    opened = compare_baselines(config, settings, None, folder / "open", reuse=asked_reuse())
show(opened.figure().figure())

# %% [markdown]
# ## The same questions as a choice of four
#
# Options are answers to other questions of the domain. P_IC is the largest option's probability as
# a share of all options; the largest option probability is not divided, so it also falls where the
# model would rather say something else.

# %%
with bars(console()):
    choices = choice_questions(drawn_questions(config), config.questions.options, config.seed)
    chosen = compare_baselines(
        config, settings, CHOICE_BASELINES, folder / "choice", choices, asked_reuse()
    )
show(chosen.figure().figure())

# %% [markdown]
# ## In short
#
# The intervals are 95 % bootstrap intervals over questions. Two baselines stand on the same
# questions, so that overlapping intervals do not show that they are alike.

# %%
index = write_baselines({"open": opened, "choice": chosen}, page, config, settings)
lines = []
for kind, found in (("open", opened), ("choice", chosen)):
    lines.append(found.caption)
    for one in found.found:
        row = shown(one)
        lines.append(
            f"{kind:8}{row['baseline']:36}{row['tokens']:>6}{row['read']:>7}  {row['AUROC2']}  "
            f"{row['within domain']}"
        )
if opened.groups is not None:
    lines.append(f"judged alike: {opened.groups}")
sys.stdout.write("\n".join([*lines, f"figures: {index}"]) + "\n")
