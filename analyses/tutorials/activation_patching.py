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
# # Twenty minutes of activation patching
#
# Three tasks, from the best known to the open one: who gets the gift, which city is the capital,
# and how sure the model is. Each has a question, a figure, what the figure shows and what it does
# not, and an exercise with one possible answer in the cell below it. Try before you run that cell.
#
# The cells take seconds to half a minute on two cores with the default model. What you find is
# about that model; put in another and look again.

# %%
import workbench as wb

wb.show_progress()
lm = wb.load_model("default")

# %%
import numpy as np
import pandas as pd

from workbench.api.examples import capital_pairs, indirect_object_pairs, keep_single_tokens
from workbench.patch import following, half_layer
from workbench.patch.effects import Sweep
from workbench.plots.following import FollowingCurve

# %% [markdown]
# ## The idea
#
# Run one prompt and keep its hidden states. Run another, put one of the kept states in place of its
# own, let everything after it be computed anew, and read the answer. If the answer becomes that of
# the first prompt, the state suffices to tell the two apart. A patch at one token changes only what
# comes after it, so all layers of a sweep share one forward pass over the prompt: a sweep over
# thirty layers costs little more than one run.
#
# Two numbers are used throughout. The *effect* is the patched reading minus the unpatched one. The
# *shift* is the same as a share of the way to the donor's own reading: 0 nothing moved, 1 all of
# it.
#
# ## First task: indirect objects
#
# *When Mary and John went to the store, John gave a drink to* ... Mary. In the donor the giver is
# Mary, and the answer John. Everything else is alike.

# %%
gifts = keep_single_tokens(indirect_object_pairs(64), lm.tokenizer, 8)
prompts, donors = list(gifts.prompts), list(gifts.donors)
prompts[0], donors[0], gifts.read[0]

# %% [markdown]
# Before any patch: does the model do the task? If it answers no better than chance, there is
# nothing to find. Read is the logit of the prompt's answer minus that of the donor's; it should be
# positive in prompts and negative in donors.

# %%
last = wb.sweep(lm, prompts, donor=donors, read=gifts.read)
pd.DataFrame(
    {"reading": [last.base.mean(), last.donor.mean()]}
    | {"prefer their own answer": [(last.base > 0).mean(), (last.donor < 0).mean()]},
    index=["prompts", "donors"],
)

# %% [markdown]
# Then layer by layer, at the last token.

# %%
last

# %% [markdown]
# **What to see.** The layers at which the curve leaves the prompts' line and the one at which it
# reaches the donors'. Before the first the last token does not know who gave; after the second it
# holds all that the answer needs. A curve that stands still in between says that these layers add
# nothing for this readout.
#
# **What it does not show.** Where the name was before. Look at the other places:

# %%
every_other = range(0, lm.n_layers, 2)
places = wb.patch_map(
    lm,
    prompts,
    donor=donors,
    read=gifts.read,
    over=("layer", "position"),
    at=gifts.at,
    layers=every_other,
)
places

# %% [markdown]
# **What to see.** The giver's token in early layers, the last token in late ones, and little at the
# tokens between: the name goes from one to the other. A hatched cell lies within the noise floor.
#
# **Exercise.** So far donor states went into prompts: they *suffice*. Exchange prompt and donor
# (`gifts.exchanged`). Are the same places enough the other way round?

# %%
back = gifts.exchanged
wb.patch_map(
    lm,
    list(back.prompts),
    donor=list(back.donors),
    read=back.read,
    over=("layer", "position"),
    at=back.at,
    layers=every_other,
    controls=False,
)

# %% [markdown]
# ### Which heads carry it?
#
# The last token can get the name from the giver's token only through attention. Every head's output
# at the last token is replaced by the donor's, one at a time. Heads are chosen on every other pair
# and measured on the rest: the largest of many noisy numbers is too large on the pairs it was
# chosen on.

# %%
late = range(lm.n_layers // 2, lm.n_layers)
at_last = {"over": ("layer", "head"), "at": "last", "layers": late, "controls": False}
chosen_on, measured_on = gifts.keep(range(0, 8, 2)), gifts.keep(range(1, 8, 2))
heads, again = (
    wb.patch_map(lm, list(part.prompts), donor=list(part.donors), read=part.read, **at_last)
    for part in (chosen_on, measured_on)
)
heads

# %%
largest = heads.summary().sort_values("shift", key=abs, ascending=False)[["layer", "head"]].head(5)
largest.merge(again.summary(), how="left")[["layer", "head", "shift", "shift_low", "shift_high"]]

# %% [markdown]
# **What to see.** Whether a few heads do most of it, and whether some push the other way. Heads
# with negative shifts are no mistake: they write against the answer.
#
# **What it does not show.** Heads one by one need not add up: what one head stops writing, another
# may write instead.
#
# **Exercise.** A gradient estimates all cells from two forward passes and one backward. For which
# places is it right? `wb.attribute` takes what `wb.patch_map` takes, and patches some cells truly
# to compare.

# %%
estimate = wb.attribute(lm, prompts, donor=donors, read=gifts.read, at=gifts.at, layers=every_other)
estimate

# %% [markdown]
# Set it beside the map of places above, row by row. A gradient says what a small step would do at
# the place where the prompt is; the donor may be far away, and what lies between may be bent. The
# caption says how far to trust it: the true effect of the largest cells over their estimate, and
# the rank correlation over all cells that were patched truly. A cell that the gradient takes for
# small is checked only if it is drawn at random.
#
# ## Second task: facts
#
# *The capital of France is* ... Now the answer is not in the prompt; it has to be looked up. Pairs
# of countries whose names have different numbers of tokens are aligned at the end of the name.

# %%
facts = keep_single_tokens(capital_pairs(4096), lm.tokenizer, 8)
countries, other_countries = list(facts.prompts), list(facts.donors)
wb.patch_map(
    lm,
    countries,
    donor=other_countries,
    read=facts.read,
    over=("layer", "position"),
    at=facts.at,
    layers=every_other,
)

# %% [markdown]
# **What to see.** The subject's last token decides for many layers, then the last token does. How
# sharp is the change?
#
# **What it does not show.** That the fact is stored where the effect is strong. In early layers the
# subject's token decides because the country's name is there: the donor's state *is* another
# country.
#
# **Exercise.** Which parts do the carrying: attention or MLP, and where? Patch `attn_out` and
# `mlp_out` of single layers at both places.

# %%
wb.patch_map(
    lm,
    countries,
    donor=other_countries,
    read=facts.read,
    over=("layer", "component"),
    component=("attn_out", "mlp_out"),
    at="last",
    controls=False,
)

# %% [markdown]
# **What to see.** A layer whose attention has a large shift brings the country's answer to the last
# token. MLP cells after it rework what was brought. Put `at={"subject": facts.at["subject"]}` in
# place of `"last"` for the other place.
#
# **What it does not show.** From which token the attention took it. `component="values"` at the
# subject, or `wb.path_effects`, asks that.
#
# ## Third task: confidence
#
# The model answers questions and says how sure it is. Not a name but a number is read: the expected
# value of its distribution over the scale, as a share of certainty.

# %%
asked = wb.ask(lm, wb.load_questions("builtin", limit=32))
asked

# %% [markdown]
# **What to see.** How many different numbers are stated at all, and whether right answers get
# higher ones. AUROC2 is the probability that a right answer got more confidence than a wrong one;
# 0.5 is chance, and the interval says how little 32 questions tell.
#
# Is there a place that holds *this answer's* confidence? Give each of the less sure half the states
# of a surer question, at the token before the number.

# %%
order = np.argsort(asked.expected)
half = len(asked) // 2
few = range(2, lm.n_layers, 3)
confidence = wb.sweep(
    lm, asked[order[:half]], donor=asked[order[half : 2 * half]], layers=few, controls=False
)
confidence

# %% [markdown]
# **What it does not show.** That the state carries the donor's confidence. If all states of surer
# answers raised the number alike, the curve would rise just so.
#
# **Exercise.** How would you tell the two apart? The donors differ in how sure they are.
#
# One answer: give every question the states of another one at random, and ask at each layer whether
# the patched confidence follows the donor's own confidence or still the prompt's: the slopes of a
# regression on both.

# %%
drawn = np.random.default_rng(0).permutation(len(asked))
swapped = wb.sweep(lm, asked[drawn], donor=asked[np.roll(drawn, 1)], layers=few, controls=False)
layers = np.array(few)
donor_slope, base_slope = following(
    Sweep(layers, swapped.base, swapped.donor, swapped.patched), resamples=500, seed=0
)
FollowingCurve(
    layers=layers,
    donor_slope=donor_slope,
    base_slope=base_slope,
    half_layer=half_layer(layers, donor_slope.value),
    noise_floor=np.nan,
    title="Whose confidence does the patched state carry?",
    caption=f"{len(asked)} pairs of questions, {lm.name}",
).figure()

# %% [markdown]
# **What to see.** Slope 1 on the donor's and 0 on the prompt's own: the state carries that item's
# confidence. Slope 0 and 1: it does not yet. The layer where they change places is a better answer
# to "where" than any point of the curve above. With so few questions the intervals are wide; ask
# for more.
#
# **What it does not show.** Whether the model *knows* when it is wrong. That takes probes on
# held-out questions, a training, and the same patches with the tuned model as donor: `workbench
# run`.
#
# ## What to remember
#
# 1. First see that the model does the task.
# 2. A patch shows what a state suffices for. Patch both ways, and at more than one place.
# 3. Early effects at a differing token and the last layer's 1 come for free.
# 4. Choose on some prompts, measure on others; put the controls beside it.
#
# `workbench notebook critical_reading` goes through the controls one by one.
