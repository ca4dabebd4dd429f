"""Draw worlds in which the whole chain runs on a tiny random model: states, probe, teaching,
patching, verdicts.

A question is a domain token, four random tokens and an answer token; its confidence turn repeats
none of it, so what the confidence position knows came by attention. In a planted world one of two
answer tokens is right with probability 1 - ``noise`` and the other with probability ``noise``; the
share of right answers differs between domains besides. The null worlds take one link out each:

- grades shuffled within domain before any split: nothing knows anything;
- an adapter with random weights, and one taught on shuffled targets, as donors: the readouts move
  and follow the donor, and carry nothing of whether its answer is right;
- random vectors of equal length as donors;
- confidence turns that see another question.

All weights are random, so a world shows how the rules err, not what a trained model does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from workbench.arrays import Floats
from workbench.bench.tiny_worlds import (
    ANSWER_AT,
    DOMAINS,
    LAYERS,
    LENGTH,
    SCALE,
    TinyWorld,
    random_adapter,
    said,
    teach,
)
from workbench.measure import auroc2_within
from workbench.measure.patching_verdicts import PatchingEvidence, cause_verdict, where_verdict
from workbench.measure.simultaneous import DonorSweep
from workbench.measure.verdicts import (
    CAUSE,
    STATES,
    TEACHING,
    TEXT,
    WHERE,
    Verdict,
    states_verdict,
    teaching_verdict,
    text_verdict,
)
from workbench.measure.within_test import shuffled_variance, training_spread
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.patch.controlled_sweep import SweepSettings, controlled_sweep
from workbench.patch.controls import CONDITIONS
from workbench.patch.model_states import ModelState
from workbench.probe import (
    ProbeSettings,
    apply,
    crossfitted_targets,
    fit_layerwise,
    shuffled_scores,
)
from workbench.teach.adapter import remove_adapter
from workbench.trace.record import record_states

PROBED = [1, 3]
"""Layers that are probed."""
SETTINGS = ProbeSettings(folds=3, inner_folds=2, inverse_penalties=(1e-2, 1e-1), seed=0)
SHUFFLES, RESAMPLES, TOKENS = 40, 400, 100_000
Donors = Literal["taught", "random adapter", "shuffled targets", "equal norm"]


@dataclass(frozen=True, eq=False)
class Chain:
    """What precedes the donors in a world: the probe's scores on held-out questions, and what the
    base model and the shuffled control say there.

    Attributes:
        held_out, before, control: [test].
        targets: [train] cross-fitted.
        spread: between trainings on shuffled targets.
    """

    world: TinyWorld
    held_out: Floats
    before: Floats
    control: Floats
    targets: Floats
    spread: float
    seed: int


def run_chain(world: TinyWorld, seed: int) -> Chain:
    """Read the states, fit the probe, and teach the shuffled control."""
    lm, train, test = world.lm, world.train, ~world.train
    correct, domain = world.correct[test], world.domain[test]
    states = record_states(lm, world.prompts, [[ANSWER_AT, LENGTH - 1]] * len(train)).numpy()
    states = np.ascontiguousarray(states[:, PROBED])
    probe = fit_layerwise(states[train], world.correct[train], SETTINGS)
    site = probe.best
    shuffled = shuffled_scores(
        probe, site, states[train], states[test], n_shuffles=SHUFFLES, seed=seed
    )
    targets = crossfitted_targets(probe, "log_loss").probability
    control = teach(world, np.random.default_rng(seed).permutation(targets), seed + 1)
    aside = said(control, world)[test]
    remove_adapter(control)
    return Chain(
        world,
        apply(probe, states[test])[:, site.layer, site.position],
        said(lm, world)[test],
        aside,
        targets,
        training_spread(
            np.array([auroc2_within(scores, correct, domain) for scores in shuffled]),
            shuffled_variance(shuffled[0], correct, domain),
        ),
        seed,
    )


def judge_reading(chain: Chain) -> Mapping[str, Verdict]:
    """Judge the states and the text."""
    world, test = chain.world, ~chain.world.train
    correct, domain = world.correct[test], world.domain[test]
    rates = np.array(
        [world.correct[world.train & (world.domain == one)].mean() for one in range(len(DOMAINS))]
    )
    length = np.random.default_rng(chain.seed).random(len(correct))
    rivals = {"domain base rate": rates[domain], "answer length": length}
    return {
        STATES: states_verdict(chain.held_out, correct, domain, rivals),
        TEXT: text_verdict(chain.before, correct, domain),
    }


def judge_donors(chain: Chain, donors: Donors) -> Mapping[str, Verdict]:
    """Judge teaching, cause and place, with donors of this kind."""
    world, seed = chain.world, chain.seed
    test = ~world.train
    correct, domain = world.correct[test], world.domain[test]
    control = chain.control
    if donors == "random adapter":
        other = random_adapter(world, seed + 2)
        control = said(other, world)[test]
        remove_adapter(other)
        tuned = random_adapter(world, seed + 3)
    else:
        shuffled = np.random.default_rng(seed + 4).permutation(chain.targets)
        tuned = teach(world, shuffled if donors == "shuffled targets" else chain.targets, seed)
    after = said(tuned, world)[test]
    evidence = patch(world, tuned, chain.spread, donors == "equal norm", seed)
    remove_adapter(tuned)
    teaching = teaching_verdict(after, chain.before, control, correct, domain, chain.spread)
    cause = cause_verdict(evidence, resamples=RESAMPLES, seed=seed)
    where = where_verdict(evidence, cause, resamples=RESAMPLES, seed=seed)
    patching = {CAUSE: cause, WHERE: where}
    # Teaching was real where only the donors are noise.
    return patching if donors == "equal norm" else {TEACHING: teaching, **patching}


def patch(
    world: TinyWorld, tuned: LanguageModel, spread: float, noise: bool, seed: int
) -> PatchingEvidence:
    """Sweep donors from other held-out questions and random vectors; ``noise`` puts random vectors
    in place of the donors too.
    """
    test = np.flatnonzero(~world.train)
    prompts = [world.prompts[row] for row in test]
    positions = np.tile([LENGTH - 2, LENGTH - 1], (len(test), 1))
    layers = np.arange(LAYERS)
    sweep = controlled_sweep(
        ModelState(tuned, lambda: adapter_off(tuned)),
        ModelState(tuned),
        prompts,
        positions,
        world.trie,
        SCALE,
        SweepSettings(layers.tolist(), LAYERS, TOKENS, seed),
    )
    by_name = {condition.name: condition for condition in CONDITIONS}
    everyone = np.arange(len(test))
    base, other = sweep.sweep_batch(by_name["other_tuned"], everyone)
    _, random = sweep.sweep_batch(by_name["random_vector"], everyone)
    readout = said(tuned, world)[test]
    partner = sweep.partner
    return PatchingEvidence(
        DonorSweep(layers, base, readout[partner], random if noise else other),
        DonorSweep(layers, base, readout, random),
        world.correct[test][partner],
        world.domain[test][partner],
        spread,
        LAYERS - 1,
    )
