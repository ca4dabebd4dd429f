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
# # Are known circuits found?
#
# Three results of the literature, on a model they were not found on. Each is 32 pairs of prompts:
# the donor's states are patched into the prompt's run, layer by layer at places aligned by named
# spans, with the controls beside; then head by head at the last token. Attribution estimates the
# same map from one backward pass, and says how far true patches agree with it.
#
# What was found before, and would be seen here:
#
# * indirect objects: the giver's place carries the name early, the last token late, by few heads;
# * capital facts: the subject's last token early, the last token late;
# * greater-than years: the year early, the last token late.
#
# What is found is reported as it is found. A patch shows what a state suffices for where it is put;
# it does not show that another model does the task alike.
#
# Run as a script it writes `figures/circuits/<task>/` and `figures/circuits/<task>-heads/`: page,
# figure and tables.

# %%
from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

import workbench as wb
from workbench.api.examples import (
    capital_pairs,
    greater_than_pairs,
    indirect_object_pairs,
    keep_single_tokens,
)
from workbench.api.page import write_patching
from workbench.cli.terminal import bars
from workbench.notebook import show

# %% tags=["parameters"]
MODEL = "default"
PAIRS = 32
DRAWN = 512

# %%
lm = wb.load_model(MODEL)
folder = Path("figures") / "circuits"
tasks = {
    "indirect-objects": keep_single_tokens(indirect_object_pairs(DRAWN), lm.tokenizer, PAIRS),
    "capitals": keep_single_tokens(capital_pairs(DRAWN), lm.tokenizer, PAIRS),
    "years": greater_than_pairs(lm.tokenizer, PAIRS),
}

# %% [markdown]
# ## Layer by place
#
# Shift 0: nothing moved; shift 1: the reading is the donor's.

# %%
for name, pairs in tasks.items():
    prompts, donors = list(pairs.prompts), list(pairs.donors)
    with bars(Console(stderr=True)):
        found = wb.patch_map(
            lm, prompts, donors, read=pairs.read, over=("layer", "position"), at=pairs.at
        )
    write_patching(folder / name, found, {"model": MODEL, "pairs": PAIRS, "task": name})
    show(found.figure())
    effect = found.condition("donor").estimates(2000, 0)
    top = effect.sort_values("shift", ascending=False).groupby("position").head(1)
    sys.stdout.write(f"\n{name}: {found.caption()}\n{top.round(3).to_string(index=False)}\n")

# %% [markdown]
# ## Layer by head, at the last token
#
# The heads that move the reading most, each patched alone.

# %%
for name, pairs in tasks.items():
    prompts, donors = list(pairs.prompts), list(pairs.donors)
    with bars(Console(stderr=True)):
        found = wb.patch_map(lm, prompts, donors, read=pairs.read, over=("layer", "head"))
    write_patching(folder / f"{name}-heads", found, {"model": MODEL, "pairs": PAIRS, "task": name})
    show(found.figure())
    top = found.condition("donor").estimates(2000, 0).sort_values("shift", ascending=False)[:5]
    sys.stdout.write(f"\n{name}, heads:\n{top.round(3).to_string(index=False)}\n")

# %% [markdown]
# ## Attribution beside it
#
# The slope of true effects on estimates is 1 where the gradient says all.

# %%
for name, pairs in tasks.items():
    prompts, donors = list(pairs.prompts), list(pairs.donors)
    with bars(Console(stderr=True)):
        estimate = wb.attribute(lm, prompts, donors, read=pairs.read, at=pairs.at)
    show(estimate.figure())
    sys.stdout.write(f"\n{name}: {estimate.caption()}\n")
