"""Make the branch of one change, and read what the model then says: the distribution over the
scale, or the most likely tokens.

A swap writes the donor's state in place of the own one. Steering adds a direction, taking out
removes what lies along it. The direction is the run's probe at that layer, or the difference of the
two conversations' states there. A probe's unit is the standard deviation of the run's states at
that layer, all directions together; a difference's unit is its own length, so 1 is the whole
difference. Where the last token is changed and a scale is read, steering and taking out act on the
further tokens of the number too. Positive lengths point to right answers (probe), or to the donor
(difference).

A direction that moves the readout need not be one that the model uses; random directions of the
same length stand beside the slider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.api.grid import PARTS
from workbench.api.prompt_runs import run_as_named
from workbench.api.readouts import readout_of
from workbench.elicit.conversation import ScaleTokens, scale_tokens
from workbench.elicit.format import Format
from workbench.errors import WorkbenchError
from workbench.live.requests import Change, Project, Read, Steer, Swap
from workbench.live.session import OpenPair, Session
from workbench.loop.positions import run_positions
from workbench.loop.states import states_of_stage
from workbench.models import LanguageModel
from workbench.patch.steering import spread_of
from workbench.patch.text_branches import TextBranch
from workbench.patch.written_confidence import read_written
from workbench.trace import Patch, Site, Subspace, patch_branches, record
from workbench.trace.interventions import Branch

POSITION = "confidence"
"""The position whose probe gives the direction."""


@dataclass(frozen=True)
class Outcome:
    """What is read in one branch: ``value`` on the readout, and for each text its probability."""

    value: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Outcomes:
    """What is read unpatched and then in every branch; ``texts`` name the probabilities."""

    texts: tuple[str, ...]
    each: tuple[Outcome, ...]


@dataclass(frozen=True, eq=False)
class Direction:
    """``vector`` [width] of length 1, and how long a unit is."""

    vector: Tensor
    unit: float


def scale_of(session: Session, lm: LanguageModel, read: Read) -> ScaleTokens | None:
    """Return the tokens of the scale that is read; None where texts are."""
    named = session.readout(read)
    return scale_tokens(lm.tokenizer, named) if isinstance(named, Format) else None


def direction_of(session: Session, pair: OpenPair, change: Steer | Project) -> Direction:
    """Return the direction of a change.

    Raises:
        WorkbenchError: for a probe where there is no run, a layer that the model lacks, and two
            states that are equal.
    """
    _require_layer(pair.lm, change.layer)
    if change.direction == "difference":
        vector = _state(pair.donor_lm, pair, Site(change.layer), change.position, donor=True)
        vector = vector - _state(pair.lm, pair, Site(change.layer), change.position, donor=False)
        unit = float(vector.norm())
        if unit == 0:
            raise WorkbenchError(
                f"Both states are equal at token {change.position} after layer {change.layer}, so "
                "their difference has no direction; choose a later token."
            )
        return Direction(vector / unit, unit)
    if session.run is None:
        raise WorkbenchError("Only a run has a probe; choose the difference of the two states.")
    at = run_positions(session.run).index(POSITION)
    weights = session.run.stage("probe").tensors("probe")["weights"][change.layer, at]
    states = np.asarray(states_of_stage(session.run.stage("elicit"))[:, change.layer, at])
    vector = torch.as_tensor(np.asarray(weights), dtype=torch.float32)
    return Direction(vector / vector.norm(), spread_of(states))


def swap_branch(pair: OpenPair, change: Swap) -> list[Patch]:
    """Return the patches of a swap: one, or one for each head.

    Raises:
        WorkbenchError: for a layer or head the model lacks, and a token without a partner.
    """
    _require_layer(pair.lm, change.layer)
    part = PARTS[change.component]
    sliced = change.component in ("heads", "queries", "keys", "values")
    count = pair.lm.n_heads if part in ("head_out", "query") else pair.lm.n_key_value_heads
    if change.head is not None and not (sliced and change.head < count):
        raise WorkbenchError(f"There is no head {change.head} of {change.component}; choose one.")
    heads: Sequence[int | None] = [None]
    if sliced:
        heads = range(count) if change.head is None else [change.head]
    sites = [Site(change.layer, part) if h is None else Site(change.layer, part, h) for h in heads]
    place = torch.tensor([change.position])
    return [
        Patch(site, place, _state(pair.donor_lm, pair, site, change.position, donor=True)[None])
        for site in sites
    ]


def direction_branch(
    vector: Tensor | None, direction: Direction, layer: int, places: Sequence[int]
) -> list[Patch]:
    """Return the patches that add ``vector`` at some tokens, or take the direction out if None."""
    out = []
    for place in places:
        at = torch.tensor([place])
        if vector is None:
            span = Subspace(direction.vector)
            out.append(Patch(Site(layer), at, mode="without", subspace=span))
        else:
            out.append(Patch(Site(layer), at, vector[None].contiguous(), "add"))
    return out


def changed_places(pair: OpenPair, position: int, nodes: int) -> list[int]:
    """Return the tokens that a direction is changed at: one, and after the last the ``nodes`` of
    the number.

    Raises:
        WorkbenchError: for a token outside the conversation.
    """
    (length,) = pair.base_tokens.lengths
    if position >= length:
        raise WorkbenchError(f"There is no token {position}; the conversation has {length}.")
    return [position, *(range(length, length + nodes) if position == length - 1 else ())]


def branch_of(session: Session, pair: OpenPair, change: Change, nodes: int) -> list[Patch]:
    """Return the patches of one change, ``nodes`` being tokens read after the prompt."""
    if isinstance(change, Swap):
        return swap_branch(pair, change)
    direction = direction_of(session, pair, change)
    places = changed_places(pair, change.position, nodes)
    vector = None
    if isinstance(change, Steer):
        vector = direction.vector * direction.unit * change.length
    return direction_branch(vector, direction, change.layer, places)


def read_outcomes(
    session: Session, pair: OpenPair, read: Read, branches: Sequence[Branch], most: int = 12
) -> Outcomes:
    """Read the prompt unpatched and in every branch.

    Args:
        most: without a scale, how many tokens are listed of those likeliest in any branch.
    """
    numbers, rows = scale_of(session, pair.lm, read), list(pair.base_tokens.rows)
    bound = session.tokens_per_forward
    with run_as_named(pair.lm):
        if numbers is not None:
            found = read_written(pair.lm, rows, numbers.trie, branches, tokens_per_forward=bound)
            shares = found.distribution[0]
            worth = np.asarray(numbers.trie.values) / numbers.scale.certain
            means = (shares @ worth) / shares.sum(axis=1)
            by_value = dict(zip(numbers.scale.values, numbers.scale.texts, strict=True))
            texts = tuple(by_value[value] for value in numbers.trie.values)
            return Outcomes(texts, _outcomes(means, shares))
        logits = patch_branches(pair.lm, rows, branches, _wide, tokens_per_forward=bound)
    every = torch.cat([logits.base[:, None], logits.patched], dim=1)[0]
    readout = readout_of(pair.lm, session.readout(read), pair.base_tokens)
    values = torch.cat([readout.value(readout.reduce(row[None])) for row in every])
    shares = every.softmax(dim=-1)
    top = shares.amax(dim=0).topk(min(most, shares.shape[1])).indices
    decoded = tuple(pair.lm.tokenizer.decode([token]) for token in top.tolist())
    return Outcomes(decoded, _outcomes(values.cpu().numpy(), shares[:, top].cpu().numpy()))


def text_branch_of(session: Session, pair: OpenPair, change: Change) -> TextBranch:
    """Return the branch of a change for a text. Steering at the prompt's last token goes on at
    every token after it.
    """
    (length,) = pair.base_tokens.lengths
    branch = branch_of(session, pair, change, 0)
    if isinstance(change, Swap) or change.position != length - 1:
        return TextBranch(branch)
    return TextBranch(held=branch)


def _wide(logits: Tensor) -> Tensor:
    return logits.float()


def _outcomes(values: np.ndarray, shares: np.ndarray) -> tuple[Outcome, ...]:
    return tuple(
        Outcome(float(value), tuple(map(float, row)))
        for value, row in zip(values, shares, strict=True)
    )


def _state(lm: LanguageModel, pair: OpenPair, site: Site, position: int, *, donor: bool) -> Tensor:
    """Return the state [width] of one side at a token of the base, or at its partner."""
    ((ours, theirs),) = pair.places([position]).values()
    rows = (pair.donor_tokens if donor else pair.base_tokens).rows
    with run_as_named(lm):
        return record(lm, rows, [[theirs if donor else ours]], [site])[0, 0, 0]


def _require_layer(lm: LanguageModel, layer: int) -> None:
    if layer >= lm.n_layers:
        raise WorkbenchError(f"There is no layer {layer}; the model has {lm.n_layers}.")
