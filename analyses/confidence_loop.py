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
# # Does the model know when it is wrong?
#
# A language model asked for its confidence tends to state a number near 100 for nearly everything.
# This analysis asks whether its hidden states know better, where that knowledge sits, whether it
# causes the stated number, and whether the model can be taught to say it. It is the loop of
# `workbench run`, through the library.
#
# Run as a script it writes its figures to `figures/<run>/`; opened as a notebook it draws them
# below the cells. Stopped and started again, it goes on where it was. What it looks at comes from
# the environment:
#
# | variable | meaning | default |
# |---|---|---|
# | `WORKBENCH_MODEL` | a hub id, a folder, or a GGUF file | the small default model |
# | `WORKBENCH_QUESTIONS` | a JSONL, CSV or parquet file | the built-in questions |
# | `WORKBENCH_LIMIT` | questions to draw, evenly over domains | the settings' default |
# | `WORKBENCH_CONFIG` | a YAML or JSON file with any other setting | the settings' defaults |
# | `WORKBENCH_RUN` | name of the run | `default` |

# %%
from __future__ import annotations

import sys

from workbench import run_loop
from workbench.cli.terminal import bars
from workbench.loop import open_current_run
from workbench.loop.report import LoopPage
from workbench.loop.results import loop_results
from workbench.notebook import asked_config, asked_reuse, console, option, root, show
from workbench.report.formatting import readable

# %%
config, name = asked_config(), option("RUN", "default")
folder, page = root() / "runs" / name, root() / "figures" / name

# %% [markdown]
# ## The loop
#
# Greedy answers, graded; confidence as text and as the exact distribution over 0-100; the residual
# stream of every layer at three positions; a linear probe at each; an adapter taught on the probe's
# cross-fitted output, and one taught on shuffled targets; the same readouts again; and the tuned
# model's states put into the base model layer by layer, with controls. Every number below is
# measured on questions that neither a probe nor an adapter was fitted on.

# %%
with bars(console()):
    run_loop(config, folder, page, asked_reuse())

# %%
run = open_current_run(config, folder, page)
results = LoopPage(run, loop_results(run))
summary = results.found.summary()
figures = {section.name: section.figure for section in results.figures()}

# %% [markdown]
# ## What it says, and what it knows
#
# AUROC2 is the probability that a right answer got more confidence than a wrong one. If the text
# stands far left of the probe before teaching, the model knows and does not say: the text
# bottleneck. The panel within domain leaves out what knowing the domain's difficulty alone would
# give.

# %%
show(figures["bottleneck"])

# %%
show(figures["stated_confidence"])

# %%
show(figures["reliability"])

# %% [markdown]
# ## Where it knows
#
# One probe a layer and position, scored on held-out questions. Probes on shuffled labels show what
# nothing to learn reaches.

# %%
show(figures["auroc2_by_layer"])

# %% [markdown]
# ## Does it cause what is said?
#
# The tuned model's state replaces the base model's behind one layer, at the token before the
# number. A rising curve alone localises little: a patch of the last layer trivially moves
# everything, and a donor from another question moves the mean just as far. So look at *following*:
# with donors from other questions, a donor slope of 1 and a base slope of 0 say that the state
# carries that very item's confidence.

# %%
show(figures["patching"])

# %%
show(figures["following"])

# %%
show(figures["layer_question"])

# %% [markdown]
# ## In short
#
# All numbers are in `runs/<run>/summary.json`, the tables behind them beside it.

# %%
lines = []
for key in (
    "accuracy.before",
    "accuracy.after",
    "auroc2.stated.before",
    "auroc2.expected.before",
    "auroc2.probe.before",
    "auroc2.stated.after",
    "auroc2.stated.control",
    "patching.layer_gradient",
    "patching.donor_slope.half_layer",
):
    interval = [
        readable(key, summary[f"{key}.{end}"])
        for end in ("low", "high")
        if f"{key}.{end}" in summary
    ]
    lines.append(f"{key:32}{readable(key, summary[key]):>12}  {' to '.join(interval)}".rstrip())
sys.stdout.write("\n".join([*lines, f"figures: {page / 'index.html'}"]) + "\n")
