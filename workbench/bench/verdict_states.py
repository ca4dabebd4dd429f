"""Draw null worlds from a finished run: its kept states, answers and sweep, with one link cut.

- grades shuffled within domain before any split: probes are fitted anew and read on the run's own
  held-out questions;
- trainings on shuffled targets: linear probes of shuffled labels stand in for the text after
  teaching and for its control, on the run's true grades. An adapter on such targets can at most say
  what they say;
- the run's own sweep, with the donors' grades shuffled within their domain, with the pairing of
  donors broken, and with its random vectors as donors.

Each world looks at the sites SITES alone, so that it takes a second. All worlds of a run share its
questions and states, so their rates have more in common than those of independent worlds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.config import load_config
from workbench.elicit.conversation import POSITIONS
from workbench.errors import WorkbenchError
from workbench.loop.patching_results import sweeps
from workbench.loop.states import states_of_stage
from workbench.loop.verdicts import patching_evidence
from workbench.measure import auroc2_within
from workbench.measure.patching_verdicts import PatchingEvidence, cause_verdict, where_verdict
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
from workbench.pipeline.store import RunStore, StageStore
from workbench.probe import ProbeSettings, apply, fit_layerwise, shuffled_scores

DEPTHS = (0.3, 0.7)
"""The layers that are probed, as shares of the depth."""
SITES = ("confidence", "answer_end")
SETTINGS = ProbeSettings(folds=3, inner_folds=2, inverse_penalties=(1e-3, 1e-2), seed=0)
TRAININGS, SHUFFLES, RESAMPLES = 240, 40, 400


@dataclass(frozen=True, eq=False)
class KeptRun:
    """What a run kept.

    Attributes:
        states: [n, layers, positions, width] at the probed sites.
        correct, domain, stated, length: [n] of all graded questions.
        train: [n] whether a question was for fitting.
        sweep: the run's own sweep, None where it has none.
    """

    states: Floats
    correct: Bools
    domain: np.ndarray
    stated: Floats
    length: Floats
    train: Bools
    sweep: PatchingEvidence | None

    @cached_property
    def trainings(self) -> Floats:
        """What TRAININGS probes of shuffled labels say of the held-out questions, [k, test]."""
        train, test = self.train, ~self.train
        probe = fit_layerwise(self.states[train], self.correct[train], SETTINGS)
        return shuffled_scores(
            probe,
            probe.best,
            self.states[train],
            self.states[test],
            n_shuffles=TRAININGS,
            seed=0,
        )


def open_kept_run(folder: Path) -> KeptRun:
    """Read the kept states, answers and sweep of the run in ``folder``.

    Raises:
        WorkbenchError: where a stage it needs is missing.
    """
    questions, answers = (_stage(folder, name) for name in ("questions", "answer"))
    table = questions.table("questions").merge(answers.table("answers"), on="row")
    elicited = _stage(folder, "elicit")
    graded = table["correct"].notna().to_numpy()
    states = states_of_stage(elicited)
    layers = sorted({round(depth * (states.shape[1] - 1)) for depth in DEPTHS})
    at = [POSITIONS.index(name) for name in SITES]
    kept = np.ascontiguousarray(np.asarray(states[:, layers][:, :, at][graded]))
    states_layers = states.shape[1]
    del states
    table = table[graded]
    found = KeptRun(
        kept,
        table["correct"].to_numpy(dtype=bool),
        table["domain"].to_numpy(dtype=str),
        elicited.table("confidence").set_index("row")["stated"].loc[table["row"]].to_numpy(),
        np.asarray(table["answer"].str.len(), np.float64),
        (table["split"] == "train").to_numpy(),
        None,
    )
    if not (folder / "patch" / "done.json").exists():
        return found
    sweep = _stage(folder, "patch").table("sweep")
    evidence = patching_evidence(
        sweeps(sweep),
        sweep.drop_duplicates("item").sort_values("item")["row"].to_numpy(),
        table,
        spread=0.0,
        last=states_layers - 1,
        seed=load_config(folder / "config.json").seed,
    )
    return replace(found, sweep=evidence)


def _stage(folder: Path, name: str) -> StageStore:
    if not (folder / name / "done.json").exists():
        raise WorkbenchError(
            f"The run in {folder} has not finished its stage {name!r}; run it first."
        )
    store = RunStore(folder)
    return store.stage(name, str(store.stage(name, "").facts()["key"]))


def shuffle_within(rng: np.random.Generator, correct: Bools, domain: np.ndarray) -> Bools:
    """Return the grades [n] shuffled within domain."""
    out = correct.copy()
    for each in np.unique(domain):
        rows = np.flatnonzero(domain == each)
        out[rows] = rng.permutation(out[rows])
    return out


def shuffled_grades_world(run: KeptRun, seed: int) -> Mapping[str, Verdict]:
    """Judge states and text after all grades were shuffled within domain."""
    rng = np.random.default_rng(seed)
    correct = shuffle_within(rng, run.correct, run.domain)
    train, test = run.train, ~run.train
    probe = fit_layerwise(run.states[train], correct[train], SETTINGS)
    site = probe.best
    scores = apply(probe, run.states[test])[:, site.layer, site.position]
    names = np.unique(run.domain)
    rates = {name: correct[train & (run.domain == name)].mean() for name in names}
    rivals = {
        "domain base rate": np.array([rates[name] for name in run.domain[test]]),
        "answer length": -run.length[test],
    }
    return {
        STATES: states_verdict(scores, correct[test], run.domain[test], rivals),
        TEXT: text_verdict(run.stated[test], correct[test], run.domain[test]),
    }


def shuffled_targets_world(run: KeptRun, seed: int) -> Mapping[str, Verdict]:
    """Judge teaching where text and control are two trainings on shuffled targets; the spread comes
    from other ones.
    """
    rng = np.random.default_rng(seed)
    test = ~run.train
    correct, domain = run.correct[test], run.domain[test]
    picked = rng.permutation(len(run.trainings))[: SHUFFLES + 2]
    after, control = run.trainings[picked[0]], run.trainings[picked[1]]
    spread = training_spread(
        np.array([auroc2_within(run.trainings[one], correct, domain) for one in picked[2:]]),
        shuffled_variance(after, correct, domain),
    )
    found = teaching_verdict(after, run.stated[test], control, correct, domain, spread)
    return {TEACHING: found}


def donor_grades_world(run: KeptRun, seed: int) -> Mapping[str, Verdict]:
    """Judge the run's sweep with the donors' grades shuffled within domain."""
    sweep = _sweep(run)
    rng = np.random.default_rng(seed)
    grades = shuffle_within(rng, sweep.donor_correct, sweep.donor_domain)
    return _judge(replace(sweep, donor_correct=grades), seed)


def broken_pairs_world(run: KeptRun, seed: int) -> Mapping[str, Verdict]:
    """Judge the run's sweep with donors given to other items than they were put into."""
    sweep = _sweep(run)
    order = np.random.default_rng(seed).permutation(len(sweep.donor_correct))
    return _judge(
        replace(
            sweep,
            sweep=replace(sweep.sweep, donor=sweep.sweep.donor[order]),
            donor_correct=sweep.donor_correct[order],
            donor_domain=sweep.donor_domain[order],
        ),
        seed,
    )


def random_vectors_world(run: KeptRun, seed: int) -> Mapping[str, Verdict]:
    """Judge the run's random vectors as donors, each called by another question's name."""
    sweep = _sweep(run)
    noise = replace(sweep.sweep, patched=sweep.control.patched)
    return broken_pairs_world(replace(run, sweep=replace(sweep, sweep=noise)), seed)


def _sweep(run: KeptRun) -> PatchingEvidence:
    if run.sweep is None:
        raise WorkbenchError("The run has no sweep; let its stage 'patch' finish.")
    return run.sweep


def _judge(evidence: PatchingEvidence, seed: int) -> Mapping[str, Verdict]:
    cause = cause_verdict(evidence, resamples=RESAMPLES, seed=seed)
    return {CAUSE: cause, WHERE: where_verdict(evidence, cause, resamples=RESAMPLES, seed=seed)}
