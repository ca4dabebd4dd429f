"""Make the training plan of calibration tuning: a two-way query after the answer, and a penalty on
divergence from the base model on the answer's tokens.

loss of a row = -log P(right choice | one of the two) + kappa * Jensen-Shannon divergence to the
base model, averaged over the answer's tokens. An example's prompt ends in front of the answer;
answer, query and the choices' tokens follow it as a chain, so that one forward gives both terms.
Its cost beyond that of the conversation is logits at every token of the chain and, where kappa is
not 0, a forward of the base model up to the answer's end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workbench.elicit.conversation import Conversation, answer_tokens
from workbench.elicit.trie import ScaleTrie
from workbench.errors import WorkbenchError
from workbench.models.unembed import unembed
from workbench.teach.divergence import jensen_shannon, without_adapter
from workbench.teach.examples import Example, TokenTarget
from workbench.teach.losses import Loss, add_losses
from workbench.teach.training_job import Objective, TrainingJob
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts
from workbench.trace.token_tree import TokenTree


def correctness_query_objective(job: TrainingJob, kappa: float) -> Objective:
    """Return examples of the job's answers with the query after them, and their loss. Targets are 1
    for right and 0 for wrong answers.

    Raises:
        WorkbenchError: for a format with more than two choices or an adapter that acts on the reply
            alone.
    """
    if len(job.fmt.scale.values) != 2:
        raise WorkbenchError(
            f"Calibration tuning asks a question with two choices; the format {job.fmt.name!r} has "
            f"{len(job.fmt.scale.values)}. Set elicit.format=i-ii."
        )
    if job.reply is not None:
        raise WorkbenchError(
            "Calibration tuning teaches the whole conversation; set "
            "teach.adapter_scope=conversation."
        )
    starts = [
        answer_start(conversation, answer_tokens(job.lm.tokenizer, job.fmt, question))
        for conversation, question in zip(job.conversations, job.questions, strict=True)
    ]
    trie = job.numbers.trie
    examples = [
        chained(conversation, start, trie)
        for conversation, start in zip(job.conversations, starts, strict=True)
    ]
    choice = two_way(examples, trie, job.targets)
    if kappa == 0:
        return Objective(examples, choice)
    base = [conversation.position("answer_end") for conversation in job.conversations]
    return Objective(
        examples, add_losses(choice, js_to_base_loss(job, starts, kappa)), extra_tokens=base
    )


def answer_start(conversation: Conversation, asked: Sequence[int]) -> int:
    """Return the index of the answer's first token: where the conversation departs from the prompt
    ``asked`` that it was generated from.
    """
    pairs = zip(conversation.tokens, asked, strict=False)
    shared = next((index for index, (one, other) in enumerate(pairs) if one != other), len(asked))
    # An empty answer, or one whose first token merged with the prompt's last, still has
    # last token.
    return max(1, min(shared, conversation.position("answer_end")))


def chained(conversation: Conversation, start: int, trie: ScaleTrie) -> Example:
    """Return the conversation as an example whose prompt ends at ``start``, followed by the rest as
    a chain and the choices' inner nodes.
    """
    chain, nodes = conversation.tokens[start:], trie.tree
    size = len(chain)
    tokens = (*chain, *nodes.tokens)
    parents = (*range(-1, size - 1), *(parent + size for parent in nodes.parents))
    places = tuple(
        TokenTarget(0.0, (token,), (1.0,)) for token in (*chain, *(c[0] for c in trie.children))
    )
    return Example(conversation.tokens[:start], TokenTree(tokens, parents), places)


def two_way(examples: Sequence[Example], trie: ScaleTrie, targets: np.ndarray) -> Loss:
    """Return the loss: -log of the probability of the right choice, restricted to the choices."""
    wanted = torch.as_tensor(targets, dtype=torch.float32)

    def loss(rows: Sequence[int], logits: Tensor) -> Tensor:
        ends = torch.tensor([len(examples[row].places) for row in rows], device=logits.device)
        at = ends[:, None] - len(trie.inner) + torch.arange(len(trie.inner), device=logits.device)
        judged = logits[torch.arange(len(rows), device=logits.device)[:, None], at]
        scores = trie.log_probabilities(judged).log_softmax(dim=-1)
        right = wanted[list(rows)].to(scores.device)
        return -(right * scores[:, 1] + (1 - right) * scores[:, 0]).mean()

    return loss


def js_to_base_loss(job: TrainingJob, starts: Sequence[int], kappa: float) -> Loss:
    """Return the loss ``kappa`` times the divergence from the base model where the answer's tokens
    are predicted.
    """

    def loss(rows: Sequence[int], logits: Tensor) -> Tensor:
        chosen = [job.conversations[row] for row in rows]
        counts = [
            conversation.position("answer_end") + 1 - starts[row]
            for row, conversation in zip(rows, chosen, strict=True)
        ]
        most = max(counts)
        prompts = pad_prompts(
            [conversation.tokens[: conversation.position("answer_end")] for conversation in chosen],
            job.lm.tokenizer.pad_token_id,
            job.lm.device,
        )
        at = torch.tensor(
            [
                [starts[row] - 1 + min(k, n - 1) for k in range(most)]
                for row, n in zip(rows, counts, strict=True)
            ]
        )
        with without_adapter(job.lm):
            read = prompts.column_of(at)
            base = unembed(job.lm, forward(job.lm, prompts, empty_tail(prompts), read).final)
        apart = jensen_shannon(
            logits[:, :most].float().log_softmax(dim=-1), base.float().log_softmax(dim=-1)
        )
        own = (
            torch.arange(most, device=apart.device)
            < torch.tensor(counts, device=apart.device)[:, None]
        )
        return kappa * ((apart * own).sum(dim=1) / own.sum(dim=1)).mean()

    return loss
