"""Write whole texts under patches: every prompt, unpatched and in every branch, in one batch.

The prompts are computed once, and each branch's own tokens packed after them
(:mod:`workbench.patch.branch_keys`). From there every prompt in every branch is a row of one batch,
which goes on a token a step; patches at generated tokens are written into their rows, and rows that
have ended leave the batch. Families with recurrent layers continue from copies of their states
(:mod:`workbench.patch.state_generation`). Every text equals, token by token, that of hooked
forwards over prompt and text, and that of its branch alone, up to rounding: where two tokens are
equally probable to rounding, in bfloat16 now and then, another batch may choose the other.

The cost of a step is one token a text. What a batch holds are the keys and values of its rows,
cut to ``most_bytes``; one row may exceed it.

A greedy text is one path: a patch that leaves it as it is may still have moved all probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.elicit.generate import Step, continue_steps
from workbench.elicit.greedy import stop_at_end
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.finite import require_finite
from workbench.models.server import require_weights_here
from workbench.patch.branch_keys import BranchRows, run_base
from workbench.patch.state_generation import write_from_states
from workbench.patch.text_branches import (
    UNPATCHED,
    Entry,
    TextBranch,
    alike_rows,
    as_text_branches,
    prompt_branch,
    require_text_branches,
)
from workbench.patch.text_choice import Choice, Sampling, choice_of
from workbench.patch.text_edits import GeneratedEdits
from workbench.progress import task
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD, WRITTEN_BYTES
from workbench.trace.batches import plan_batches
from workbench.trace.checks import require_masks
from workbench.trace.interventions import Branch, patches_of
from workbench.trace.layout import empty_tail, pad_prompts


@dataclass(frozen=True)
class WrittenText:
    """A text that a model wrote: token ids with the one that ended it, their log-probabilities in
    nats, and whether it ended within the limit.
    """

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    ended: bool


@dataclass(frozen=True)
class BranchTexts:
    """What was written after each prompt: ``base`` [rows][samples] unpatched, ``patched``
    [rows][branches][samples].
    """

    base: tuple[tuple[WrittenText, ...], ...]
    patched: tuple[tuple[tuple[WrittenText, ...], ...], ...]


@dataclass(frozen=True, eq=False)
class _Work:
    """What is written, and by what rule."""

    lm: LanguageModel
    prompts: Sequence[Sequence[int]]
    branches: Sequence[TextBranch]
    limit: int
    stop: Tensor
    sampling: Sampling | None
    tokens_per_forward: int
    most_bytes: int

    @property
    def lengths(self) -> list[int]:
        return [len(prompt) for prompt in self.prompts]

    def entries(self, rows: Sequence[int]) -> list[Entry]:
        """Return the texts of some prompts, those of one branch together."""
        samples = 1 if self.sampling is None else self.sampling.samples
        return [
            Entry(branch, row, sample)
            for branch in range(UNPATCHED, len(self.branches))
            for row in rows
            for sample in range(samples)
        ]

    def choice(self, entries: Sequence[Entry]) -> Choice:
        return choice_of(self.lm, entries, self.prompts, self.limit, self.stop, self.sampling)


@dataclass(frozen=True, eq=False)
class _Piece:
    """Texts that are written together, and their tokens step by step."""

    entries: Sequence[Entry]
    choice: Choice
    steps: Iterator[Step]


def generate_branches(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    branches: Sequence[TextBranch | Branch],
    *,
    limit: int,
    stop: Tensor | None = None,
    sampling: Sampling | None = None,
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
    most_bytes: int = WRITTEN_BYTES,
) -> BranchTexts:
    """Write after every prompt, unpatched and in every branch.

    Args:
        prompts: token ids of each row.
        branches: sets of patches and knockouts, which act once, or :class:`TextBranch`. Every patch
            has one position and one value per prompt; tokens from a prompt's length on are the
            generated ones.
        limit: most tokens of a text.
        stop: [vocab] bool; a text ends with the first of these tokens, which is kept. The end of a
            turn if not given (:mod:`workbench.elicit.greedy` has others).
        sampling: draw the texts; greedy if not given.
        tokens_per_forward: most tokens of a forward, and texts of a step; a single row may exceed
            it.
        most_bytes: most bytes of keys and values, or states, that are continued together.

    Raises:
        WorkbenchError: before any forward, for arguments that do not fit; for a family that does
            not continue from copies of its states; and where a text goes on beyond what the model
            reads.
    """
    work = _work(lm, prompts, branches, limit, stop, sampling, tokens_per_forward, most_bytes)
    found: dict[Entry, WrittenText] = {}
    ends = work.stop.tolist()
    with task("writing under patches", len(work.entries(range(len(prompts))))) as progress:
        for piece in _pieces(work):
            texts: list[list[int]] = [[] for _ in piece.entries]
            for places, tokens in piece.steps:
                for place, token in zip(places, tokens, strict=True):
                    texts[place].append(token)
            scores = piece.choice.chosen.tolist()
            for entry, text, line in zip(piece.entries, texts, scores, strict=True):
                found[entry] = WrittenText(tuple(text), tuple(line[: len(text)]), ends[text[-1]])
            progress.advance(len(piece.entries))
    samples = 1 if sampling is None else sampling.samples

    def written(row: int, branch: int) -> tuple[WrittenText, ...]:
        return tuple(found[Entry(branch, row, sample)] for sample in range(samples))

    return BranchTexts(
        tuple(written(row, UNPATCHED) for row in range(len(prompts))),
        tuple(
            tuple(written(row, branch) for branch in range(len(branches)))
            for row in range(len(prompts))
        ),
    )


def generate_patched(
    lm: LanguageModel,
    prompt: Sequence[int],
    branch: TextBranch | Branch,
    limit: int,
    *,
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
) -> Iterator[tuple[int | None, int | None]]:
    """Yield the next token of one prompt without the patch and with it, as soon as both are chosen,
    at most ``limit`` times; None after a text's end. Arguments are those of
    :func:`generate_branches`.
    """
    work = _work(lm, [prompt], [branch], limit, None, None, tokens_per_forward, WRITTEN_BYTES)
    for piece in _pieces(work, together=True):
        for places, tokens in piece.steps:
            by_branch = {
                piece.entries[place].branch: token
                for place, token in zip(places, tokens, strict=True)
            }
            yield by_branch.get(UNPATCHED), by_branch.get(0)


def _work(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    branches: Sequence[TextBranch | Branch],
    limit: int,
    stop: Tensor | None,
    sampling: Sampling | None,
    tokens_per_forward: int,
    most_bytes: int,
) -> _Work:
    require_weights_here(lm, "writing under patches")
    text_branches = as_text_branches(branches)
    require_text_branches(lm, [len(prompt) for prompt in prompts], text_branches, limit)
    if tokens_per_forward < 1 or most_bytes < 1:
        raise WorkbenchError("The bounds of tokens and bytes must be positive.")
    if sampling is not None:
        sampling.require_seeds(len(branches))
    if lm.architecture.packable:
        require_masks(lm)
    return _Work(
        lm,
        prompts,
        text_branches,
        limit,
        stop_at_end(lm) if stop is None else stop.to(lm.device),
        sampling,
        tokens_per_forward,
        most_bytes,
    )


def _pieces(work: _Work, together: bool = False) -> Iterator[_Piece]:
    """Yield the texts in pieces that fit the bounds; all texts of a prompt ``together`` if so."""
    for rows in alike_rows(work.lengths, work.branches):
        if not work.lm.architecture.packable:
            for length in sorted({work.lengths[row] for row in rows}):
                alike = [row for row in rows if work.lengths[row] == length]
                yield from _state_pieces(work, alike)
            continue
        for batch in plan_batches([work.lengths[row] for row in rows], work.tokens_per_forward):
            yield from _key_pieces(work, [rows[place] for place in batch], together)


def _key_pieces(work: _Work, rows: Sequence[int], together: bool) -> Iterator[_Piece]:
    lm = work.lm
    prompts = pad_prompts([work.prompts[row] for row in rows], lm.tokenizer.pad_token_id, lm.device)
    changes = [prompt_branch(branch, rows, work.lengths) for branch in work.branches]
    base = run_base(lm, prompts, changes)
    require_finite(lm, base.final)
    entries = work.entries(rows)
    of_row = (prompts.columns + work.limit) * base.bytes_per_token
    most = min(work.tokens_per_forward, work.most_bytes // of_row)
    most = len(entries) if together else max(1, most)
    place = {row: index for index, row in enumerate(rows)}
    for start in range(0, len(entries), most):
        here = entries[start : start + most]
        whose = torch.tensor([place[entry.row] for entry in here])
        texts = BranchRows(lm, base, whose)
        members: dict[int, list[int]] = {}
        for index, entry in enumerate(here):
            if entry.branch != UNPATCHED and changes[entry.branch]:
                members.setdefault(entry.branch, []).append(index)
        texts.patch(
            [(changes[branch], torch.tensor(mine)) for branch, mine in members.items()],
            work.tokens_per_forward,
        )
        require_finite(lm, texts.final)
        choice = work.choice(here)
        numbers = torch.arange(len(here), device=lm.device)
        first = choice(texts.final, numbers, -1)
        whole = prompts.select(whose)
        edits = GeneratedEdits(work.branches, work.lengths, here, prompts.columns)
        steps = continue_steps(
            lm,
            whole,
            empty_tail(whole),
            first,
            texts.to_cache(),
            work.limit,
            work.stop,
            choice,
            edits.writes,
            edits.cuts,
        )
        yield _Piece(here, choice, steps)


def _state_pieces(work: _Work, rows: Sequence[int]) -> Iterator[_Piece]:
    # Knockouts were refused for these families.
    patches = [patches_of(prompt_branch(branch, rows, work.lengths)) for branch in work.branches]
    for pass_ in write_from_states(
        work.lm,
        [work.prompts[row] for row in rows],
        rows,
        patches,
        work.entries(rows),
        tokens_per_forward=work.tokens_per_forward,
        most_bytes=work.most_bytes,
    ):
        choice = work.choice(pass_.entries)
        edits = GeneratedEdits(work.branches, work.lengths, pass_.entries)
        yield _Piece(
            pass_.entries,
            choice,
            pass_.steps(choice, edits.writes, work.limit, work.stop),
        )
