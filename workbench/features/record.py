"""Record which features of a dictionary are active at chosen tokens, and what it leaves
unexplained.

One forward a batch records what the dictionary reads and writes; encoding follows batch by batch,
and what is kept is an entry for each active feature. ``unexplained`` is the sum of |written -
reconstruction|^2 over that of |written - mean|^2, over all recorded tokens: 0 for a perfect
dictionary, 1 for one that does no better than the mean, more for one that was trained on other
states.

The first token of a prompt has a state far from all others in many models, and dictionaries are
seldom trained on it: leave it out of any mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.features.dictionary import Dictionary
from workbench.features.sparse import SparseFeatures, join_sparse
from workbench.models import LanguageModel
from workbench.progress import task
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD
from workbench.trace.batches import plan_batches
from workbench.trace.record import record


@dataclass(frozen=True, eq=False)
class RecordedFeatures:
    """The active features of chosen tokens.

    Attributes:
        row, position: [tokens] the prompt and the token in it that each recorded token is.
        active: their features, in that order.
        error: [tokens] |written state - reconstruction|^2.
        unexplained: the share of the written states' variance that the dictionary does not explain;
            NaN where the states do not vary.
    """

    dictionary: Dictionary
    row: Tensor
    position: Tensor
    active: SparseFeatures
    error: Tensor
    unexplained: float

    def at(self, row: int, position: int) -> tuple[Tensor, Tensor]:
        """Return the features active at a token and their activations, largest first.

        Raises:
            WorkbenchError: for a token that was not recorded.
        """
        here = ((self.row == row) & (self.position == position)).nonzero()
        if not len(here):
            raise WorkbenchError(f"Token {position} of prompt {row} was not recorded.")
        return self.active.of_token(int(here[0]))


def record_features(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    dictionary: Dictionary,
    positions: Sequence[Sequence[int]] | None = None,
    *,
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
) -> RecordedFeatures:
    """Record a dictionary's active features at each prompt's ``positions``, or at every token.

    Args:
        prompts: token ids of each row.
        positions: tokens of each row, counted from 0, as many in one as in another.
        tokens_per_forward: most tokens of a forward.

    Raises:
        WorkbenchError: before any forward, for a dictionary that does not fit the model, no prompts
            and positions outside their prompt.
    """
    dictionary.require_model(lm)
    if not prompts or (positions is not None and len(positions) != len(prompts)):
        raise WorkbenchError("Give at least one prompt, and positions for every prompt.")
    home = dictionary.to(lm.device)
    sites = list(dict.fromkeys((dictionary.source_site, dictionary.site)))
    found: list[SparseFeatures] = []
    kept: list[tuple[Tensor, Tensor]] = []
    errors: list[Tensor] = []
    total, squares = torch.zeros(dictionary.width, dtype=torch.float64), 0.0
    with task("recording features", total=len(prompts)) as progress:
        for rows in _batches(prompts, positions, tokens_per_forward):
            where = [
                list(positions[row]) if positions is not None else list(range(len(prompts[row])))
                for row in rows
            ]
            states = record(lm, [prompts[row] for row in rows], where, sites)
            read, wrote = states[:, 0].flatten(0, 1), states[:, -1].flatten(0, 1)
            active = home.encode(read)
            errors.append((wrote - home.decode(active, read)).square().sum(dim=-1).cpu())
            total += wrote.double().sum(dim=0).cpu()
            squares += float(wrote.double().square().sum())
            found.append(active.cpu())
            kept.append((torch.tensor(rows).repeat_interleave(len(where[0])), torch.tensor(where)))
            progress.advance(len(rows))
    row = torch.cat([rows for rows, _ in kept])
    position = torch.cat([where.flatten() for _, where in kept])
    order = (row * (int(position.max()) + 1) + position).argsort()
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    sizes = [part.tokens for part in found]
    active = join_sparse(found, list(place.split(sizes)))
    error = torch.cat(errors)[order]
    varied = squares - float(total.square().sum()) / len(order)
    unexplained = float(error.double().sum()) / varied if varied > 0 else float("nan")
    return RecordedFeatures(dictionary, row[order], position[order], active, error, unexplained)


def _batches(
    prompts: Sequence[Sequence[int]],
    positions: Sequence[Sequence[int]] | None,
    tokens_per_forward: int,
) -> list[list[int]]:
    """Return the rows of each batch, of one length where every token is recorded."""
    lengths = [len(prompt) for prompt in prompts]
    if positions is not None:
        return [batch.tolist() for batch in plan_batches(lengths, tokens_per_forward)]
    out: list[list[int]] = []
    for length in sorted(set(lengths), reverse=True):
        rows = np.flatnonzero(np.asarray(lengths) == length)
        most = max(1, tokens_per_forward // length)
        out += [rows[start : start + most].tolist() for start in range(0, len(rows), most)]
    return out
