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
# # Reading a patching figure critically
#
# A patching figure nearly always shows something: a curve that rises, a cell that is bright. This
# notebook takes seven things that such a figure seems to say, and puts beside each the control that
# shows whether it says them. Two tasks serve as material, capitals of countries and the model's
# confidence in its own answers. Each cell takes seconds to half a minute on two cores.
#
# Nothing here depends on the default model; with another one some of the illusions are weaker, and
# the controls are the same.

# %%
import workbench as wb

wb.show_progress()
lm = wb.load_model("default")

# %%
import numpy as np
import pandas as pd
import plotly.express as px

from workbench.api.examples import capital_pairs, keep_single_tokens
from workbench.patch import following, layer_gradient, permutation_p, ramp_distance
from workbench.patch.effects import Sweep

px.defaults.template = "plotly_white"

# %% [markdown]
# ## The figure
#
# Twelve pairs of prompts about two countries each. The donor's state is put at the last token,
# layer by layer. Read is the logit of the prompt's own capital minus that of the donor's. (The
# control at a random position is no clean one here: in so short a prompt the random token is often
# the country itself.)

# %%
pairs = keep_single_tokens(capital_pairs(4096), lm.tokenizer, 12)
prompts, donors = list(pairs.prompts), list(pairs.donors)
sweep = wb.sweep(lm, prompts, donor=donors, read=pairs.read)
sweep


# %% [markdown]
# A helper for the comparisons below: curves over layers, with their intervals over pairs.


# %%
def draw(sweeps, y="effect"):
    lines = pd.concat(
        found.summary().query("condition == 'donor'").assign(curve=name)
        for name, found in sweeps.items()
    )
    lines["up"], lines["down"] = lines[f"{y}_high"] - lines[y], lines[y] - lines[f"{y}_low"]
    return px.line(lines, x="layer", y=y, color="curve", error_y="up", error_y_minus="down")


# %% [markdown]
# ## 1. A patch into itself
#
# *Claim: the reading moved, so the patch did something.* Put a run's own state back and nothing may
# change but rounding. If something does, the patch lands on another token, at another layer, or on
# a state that is not the one recorded. It is the first thing to look at and the cheapest. The
# largest move of any reading by its own state, in logits:

# %%
sweep.noise_floor

# %% [markdown]
# Moves of that size mean nothing. In low precision the floor is higher, and small effects drown in
# it.
#
# ## 2. A random step of the same length
#
# *Claim: this layer matters, because a patch there moves the answer.* Any large enough step moves
# an answer. The control adds to the prompt's own state a random direction exactly as long as the
# donor's difference. Only what the donor moves beyond that is about the donor.

# %%
table = sweep.summary()
table[table["condition"].isin(["donor", "random_vector"])].pivot(
    index="layer", columns="condition", values="shift"
).round(2)

# %% [markdown]
# What it does not settle: a random direction is one that the model never uses, and states do not
# lie that way. A step along directions in which states do vary moves more; the next control takes
# one.
#
# ## 3. Another question's donor
#
# *Claim: the patch brings the donor's answer.* Give every prompt the donor of the next pair
# instead, a country that as a rule has nothing to do with either name that is read. If the reading
# moves as well, the figure showed in part that the prompt's own answer was lost.

# %%
others = donors[1:] + donors[:1]
unrelated = wb.sweep(lm, prompts, donor=others, read=pairs.read, controls=False)
draw({"the pair's donor": sweep, "another pair's donor": unrelated})

# %% [markdown]
# A difference of two logits has two ends. Read them one by one, as log-probabilities:

# %%
own_answer, donor_answer = ([names[end] for names in pairs.read] for end in (0, 1))
some = range(1, lm.n_layers, 2)
ends = {
    f"{which}, {name}": wb.sweep(lm, prompts, donor=given, read=read, layers=some, controls=False)
    for which, read in {"prompt's answer": own_answer, "donor's answer": donor_answer}.items()
    for name, given in {"pair's donor": donors, "other donor": others}.items()
}
draw(ends)

# %% [markdown]
# The prompt's own answer falls under either donor. Only the pair's donor should raise its own
# answer; what the other donor raises too is what any capital gains. The second pair of curves is
# the evidence for a transported answer, the first is not.
#
# ## 4. The last layer
#
# *Claim: the effect is strongest in the last layers, so the answer is made there.* After the last
# layer nothing but a norm and the head is left. A patch of its state at the token that is read *is*
# the donor's reading, for any donor of the same model, whatever it holds.

# %%
{
    name: float((found.patched[:, -1] - found.base).mean() / (found.donor - found.base).mean())
    for name, found in {"the pair's donor": sweep, "another pair's donor": unrelated}.items()
}

# %% [markdown]
# Both are 1. Localisation is in *where the curve leaves 0 and where it gets near 1*, never in its
# end.
#
# ## 5. A rising curve
#
# *Claim: the effect grows with the layer, rho is near 1 and p is small.* Rank correlation of shift
# and layer is a popular summary. Its usual null, the layers in random order, is one that no model
# obeys: states of neighbouring layers are nearly the same, and the last layer is 1 anyway. So the
# right null is a curve that rises and localises nothing: a straight line from 0 to 1.

# %%
layers = np.array(sweep.layers)
ramp = sweep.base[:, None] + np.outer(sweep.donor - sweep.base, np.linspace(0, 1, len(layers)))
random_step = sweep.condition("random_vector").patched
rows = {}
for name, patched in {
    "donor": sweep.patched,
    "random step": random_step,
    "straight line": ramp,
}.items():
    curve = (patched - sweep.base[:, None]).mean(axis=0) / (sweep.donor - sweep.base).mean()
    rows[name] = {
        "rho": layer_gradient(Sweep(layers, sweep.base, sweep.donor, patched)).value,
        "p, layers permuted": permutation_p(layers, curve, permutations=999, seed=0),
        "largest distance to the line": ramp_distance(layers, curve),
    }
pd.DataFrame(rows).T.round(3)

# %% [markdown]
# The straight line has rho 1 and passes the permutation test. A random step may pass it as well.
# What sets a localised effect apart is its distance from the line, and a direction: it stays low
# and then steps up. A curve that merely stays low is as far from the line.
#
# ## 6. A shift without following
#
# *Claim: states of surer answers make the model surer, so the state carries the confidence.* Now
# the readout is the expected confidence in the model's own answers. The less sure half of the
# questions gets states of the surer half, at the token before the number.

# %%
asked = wb.ask(lm, wb.load_questions("builtin", limit=32))
order = np.argsort(asked.expected)
half = len(asked) // 2
less_sure = asked[order[:half]]
surer = asked[np.random.default_rng(0).permutation(order[half : 2 * half])]
few = range(2, lm.n_layers, 3)
given = wb.sweep(lm, less_sure, donor=surer, layers=few, controls=False)

# %% [markdown]
# Beside it, a donor that can carry no pair's own confidence: *one* question for all, whose
# confidence is nearest to the mean of the surer half.

# %%
typical = int(np.abs(surer.expected - surer.expected.mean()).argmin())
same_for_all = wb.sweep(lm, less_sure, donor=surer[[typical] * half], layers=few, controls=False)

# %% [markdown]
# The mean shift, and the slope of the patched confidence on the confidence of the donor that the
# pair was given or, in the second case, was not given:

# %%
rows = []
for name, patched in {
    "each its own donor": given.patched,
    "one donor for all": same_for_all.patched,
}.items():
    found = Sweep(np.array(few), given.base, given.donor, patched)
    slope, _ = following(found, resamples=200, seed=0)
    shift = (patched - given.base[:, None]).mean(axis=0) / (given.donor - given.base).mean()
    for layer, *values in zip(few, shift, slope.value, slope.low, slope.high, strict=True):
        rows.append([name, layer, "mean shift", values[0], np.nan, np.nan])
        rows.append([name, layer, "donor slope", *values[1:]])
lines = pd.DataFrame(rows, columns=["donor", "layer", "measure", "value", "low", "high"])
lines["up"], lines["down"] = lines["high"] - lines["value"], lines["value"] - lines["low"]
px.line(
    lines,
    x="layer",
    y="value",
    color="donor",
    facet_col="measure",
    error_y="up",
    error_y_minus="down",
)

# %% [markdown]
# Both kinds of donor end at a shift of about 1, so the shift cannot tell them apart. The slope can:
# a state that is the same for all has slope 0 in the end, one that carries each item's confidence
# slope 1. The layer from which the slope stays near 1 is where that confidence is held; the shift
# may have risen long before, with the general level alone. Where an interval holds both 0 and 1, as
# it may with so few questions, nothing is known yet.
#
# ## 7. States the model never has
#
# *Claim: without this state the answer is gone, so it is needed.* Zeros are a state that no input
# gives. Here the token "of" is patched, which stands before the country and holds the same in every
# prompt: it can know nothing of the answer.

# %%
at_of = {"read": own_answer, "at": " of", "layers": some, "controls": False}
removed = {
    kind: wb.sweep(lm, prompts, donor=wb.Ablation(kind), **at_of) for kind in ("zero", "mean")
}
draw(removed)

# %% [markdown]
# Set to zero, the token seems needed; set to the mean of the other prompts, which is a state that
# occurs, nothing changes. Zeros did not take information out, they put something in that later
# layers were never given. The same holds for steps many times as long as states differ, for states
# of one layer put into another, and for heads that are switched off one and all. Patch with states
# that occur, and compare lengths where you cannot.
#
# ## The list
#
# 1. The run's own state: is the effect above the floor?
# 2. A random step as long: is it more than any step does?
# 3. Another question's donor, and both ends of the difference: is it the donor's answer that came?
# 4. The last layer: was anything but its 1 shown?
# 5. A straight line: does the curve localise, or only rise?
# 6. The donor slope: does that item's value come along, or the general level?
# 7. States that occur: did the patch remove something, or break something?
#
# And what no control here tells: a state that suffices where it is put need not be what the
# unpatched run reads. Patch the other way round as well, and choose what you report on other
# prompts than those you measure it on.
