"""Write texts under patches in families that no mask can pack: every text continues a copy of the
state its prompt left, a token a step.

Prompts of one length are run once, in pieces that end where branches part from them
(:mod:`workbench.trace.forked`). There a copy of the state goes on in each branch to the prompt's
end, and from there a token a step, rows of one pass with their own writes. A family that does not
continue exactly from such copies, which is checked on the model
(:mod:`workbench.trace.continuation`), is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.elicit.generate import Step, Writes, pays_to_drop
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.finite import require_finite
from workbench.models.room import require_room
from workbench.patch.text_branches import UNPATCHED, Entry
from workbench.patch.text_choice import Choice
from workbench.trace.checks import require_one_invocation
from workbench.trace.continuation import Continuation, continuation_of
from workbench.trace.edits import ColumnWrite
from workbench.trace.forked import MOST_STEPS
from workbench.trace.hooked_loop import write_patch
from workbench.trace.interventions import Patch
from workbench.trace.row_states import RowStates, run_rows
from workbench.trace.unpadded import warn_unpadded


@dataclass(frozen=True, eq=False)
class TextStates:
    """Texts to write, after a pass over their prompts: ``final`` [entries, width] after the final
    norm at the prompts' ends, and the states that the prompts of ``length`` tokens left. Writing
    uses them up.
    """

    lm: LanguageModel
    entries: Sequence[Entry]
    final: Tensor
    states: RowStates
    length: int

    def steps(self, choice: Choice, writes: Writes, limit: int, stop: Tensor) -> Iterator[Step]:
        """Yield each step's tokens as :func:`workbench.elicit.generate.continue_steps` does."""
        lm, states, ends = self.lm, self.states, stop.cpu()
        live = torch.arange(len(self.entries))
        token = choice(self.final, live.to(lm.device), -1).cpu()
        ended = torch.zeros_like(live, dtype=torch.bool)
        yield live.tolist(), token.tolist()
        for step in range(limit - 1):
            ended = ended | ends[token]
            left = torch.nonzero(~ended)[:, 0]
            if not len(left):
                return
            if pays_to_drop(len(left), len(live)):
                states = states.select(left)
                live, token, ended = live[left], token[left], ended[left]
            require_room(lm, self.length + step + 1)
            final, after = run_rows(lm, token[:, None].tolist(), states, writes=writes(live, step))
            require_finite(lm, final[:, -1])
            assert after is not None
            states, token = after, choice(final[:, -1], live.to(lm.device), step).cpu()
            going = torch.nonzero(~ended)[:, 0]
            yield live[going].tolist(), token[going].tolist()


def write_from_states(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[int],
    patches: Sequence[Sequence[Patch]],
    entries: Sequence[Entry],
    *,
    tokens_per_forward: int,
    most_bytes: int,
) -> Iterator[TextStates]:
    """Run prompts of one length and yield what is written after them, in pieces that fit the
    bounds.

    Args:
        rows: the number of each prompt, as ``entries`` name them.
        patches: what each branch does to these prompts; nothing for branches of generated tokens.

    Raises:
        WorkbenchError: for an adapter on a prompt's last tokens, prompts longer than the model
            reads, and a family that does not continue exactly.
    """
    length = len(prompts[0])
    require_one_invocation(lm)
    require_room(lm, length)
    found = continuation_of(lm, prompts)
    if found.why_not:
        raise WorkbenchError(
            f"{lm.architecture.family} does not continue from copies of its state, so it cannot "
            f"write under patches ({found.why_not}); use a family that does, or read a scale with "
            "patch_branches."
        )
    warn_unpadded(lm)
    room = most_bytes // max(1, found.bytes_per_row)
    most = max(1, min(found.most_rows(length, tokens_per_forward), room))
    for start in range(0, len(prompts), most):
        chosen = torch.arange(start, min(len(prompts), start + most))
        places = {rows[place]: index for index, place in enumerate(chosen.tolist())}
        yield from _Forks(
            lm,
            [prompts[place] for place in chosen.tolist()],
            places,
            [[patch.of_rows(chosen) for patch in branch] for branch in patches],
            found,
            most,
        ).pieces([entry for entry in entries if entry.row in places])


@dataclass(frozen=True, eq=False)
class _Forks:
    """Prompts that are run together, and where each branch parts from them.

    ``places`` leads from a prompt's number to its place here, by which ``patches`` go, too.
    """

    lm: LanguageModel
    prompts: Sequence[Sequence[int]]
    places: dict[int, int]
    patches: Sequence[Sequence[Patch]]
    continuation: Continuation
    most: int

    def pieces(self, entries: Sequence[Entry]) -> Iterator[TextStates]:
        by_start: dict[int, list[Entry]] = {}
        for entry in entries:
            by_start.setdefault(self._start(entry.branch), []).append(entry)
        length, at = len(self.prompts[0]), 0
        shared: RowStates | None = None
        ends: Tensor | None = None
        for start in sorted(by_start):
            if start > at:
                ends, shared = self._run(list(range(len(self.prompts))), at, start, shared, ())
                at = start
            for first in range(0, len(by_start[start]), self.most):
                here = by_start[start][first : first + self.most]
                whose = [self.places[entry.row] for entry in here]
                copied = None if shared is None else shared.select(torch.tensor(whose))
                if start < length:
                    final, copied = self._run(whose, start, length, copied, here)
                else:
                    assert ends is not None
                    final = ends[whose]
                assert copied is not None
                require_finite(self.lm, final)
                yield TextStates(self.lm, here, final, copied, length)

    def _start(self, branch: int) -> int:
        """Return the token at which a branch parts from its prompts: their length for one that
        leaves them as they are.
        """
        length = len(self.prompts[0])
        patches = () if branch == UNPATCHED else self.patches[branch]
        start = min((int(patch.positions.min()) for patch in patches), default=length)
        return start if self.continuation.several or length - start <= MOST_STEPS else 0

    def _run(
        self,
        whose: Sequence[int],
        start: int,
        end: int,
        states: RowStates | None,
        entries: Sequence[Entry],
    ) -> tuple[Tensor, RowStates | None]:
        """Run the tokens ``start`` to ``end`` of the prompts ``whose`` after ``states``; return the
        states [n, width] after the final norm at the last, and what they leave.
        """
        alone = states is not None and end - start <= MOST_STEPS
        step = 1 if alone else end - start
        for at in range(start, end, step):
            final, states = run_rows(
                self.lm,
                [self.prompts[place][at : at + step] for place in whose],
                states,
                writes=self._writes(entries, at, step),
            )
        return final[:, -1], states

    def _writes(self, entries: Sequence[Entry], start: int, columns: int) -> list[ColumnWrite]:
        writes = []
        for branch in sorted({entry.branch for entry in entries} - {UNPATCHED}):
            mine = [i for i, entry in enumerate(entries) if entry.branch == branch]
            rows = [self.places[entries[i].row] for i in mine]
            for patch in self.patches[branch]:
                columns_of = (patch.positions[rows] - start).tolist()
                found = [
                    (i, column, row)
                    for i, column, row in zip(mine, columns_of, rows, strict=True)
                    if 0 <= column < columns
                ]
                if found:
                    here = [(i, column) for i, column, _ in found]
                    writes.append(write_patch(patch, here, [row for _, _, row in found]))
        return writes
