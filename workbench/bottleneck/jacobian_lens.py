"""Fit the mean first-order effect of a state on the logits of a scale's tokens, after every layer,
and read the scale with it.

The Jacobian lens puts in the place of all that stands above a layer the Jacobian that it has on
average. Published (Gurnee et al. 2026; anthropics/jacobian-lens), it is lens(h) = unembed(J h) with
J [width, width], the mean derivative of the last layer's output with respect to this layer's, over
any text, all later positions added up; final norm and head follow it. Here only the scale's tokens
and the closing ones are wanted, at positions known beforehand. So for each token the gradient of
its logit itself is averaged, through the final norm too, and at the same position alone: [tokens,
width] numbers for every layer and every *level*, the confidence position and each depth of inner
nodes below it. Questions and nodes count as much as it is probable that the model comes there.

A logit does not change when all that a norm reads is scaled, so at the last layer gradient times
state is about 0: rows without an intercept would read next to nothing there. The lens is therefore
the affine first-order expansion around the mean state, logit(h) = mean logit + g . (h - mean h).
That makes its mean reading the model's own at every layer; it is not exact at the last layer, where
the norm bends. (The published form needs no intercept because the norm comes after its map.) Seen
on the default model, KL(model || lens) in nats after layers 0, 15 and 29 of 30: 0.11, 0.07, 0.001
with the intercept, 1.2, 0.8, 1.0 without; the logit lens has 1.9, 8.6 and 0. It hardly depends on
how many questions are fitted on: 0.114 at layer 0 for 2 of them, 0.110 for 76.

Sign: logits, as the model's. The lens belongs to the model and adapter it was fitted on. What it
does not show: anything of second order; that the model uses what is read; and, at early layers,
more than how the few states looked at would move the number if they moved a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import torch
from torch import Tensor

from workbench import progress
from workbench.arrays import Rows
from workbench.bottleneck.lens_file import load_lens, save_lens
from workbench.bottleneck.node_gradients import NodeSums, node_levels, node_sums
from workbench.bottleneck.scale_lens import LensTokens
from workbench.compat_processes import process_count
from workbench.elicit.trie import ScaleTrie
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.adapter_fingerprint import fingerprint_as_run
from workbench.models.adapter_switch import adapter_off
from workbench.patch.model_states import Beginnings
from workbench.trace.batches import plan_batches
from workbench.trace.checks import require_masks
from workbench.trace.forward import run_joint
from workbench.trace.layout import empty_tail, pad_prompts
from workbench.trace.prompt_cache import CachedPrompts, PromptCache

KIND = "Jacobian"


@dataclass(frozen=True, eq=False)
class JacobianLens:
    """The expansions of all layers.

    Attributes:
        gradient: [layers, levels, tokens, width] float32.
        intercept: [layers, levels, tokens] float32.
        chosen: the tokens that it reads, and the trie whose inner nodes it was fitted at.
        model: the fingerprint of the model that it was fitted on.
    """

    gradient: Tensor
    intercept: Tensor
    chosen: LensTokens
    model: str

    def logits(
        self, lm: LanguageModel, layer: int, states: Tensor, tokens: Sequence[int]
    ) -> Tensor:
        """Return the logits [..., inner nodes, tokens] of ``states`` [..., inner nodes, width]
        after ``layer``.

        Raises:
            WorkbenchError: for other tokens, nodes or another width than it was fitted for.
        """
        levels = torch.tensor(node_levels(self.chosen.trie))
        wanted = (len(levels), self.gradient.shape[-1])
        if tuple(tokens) != self.chosen.tokens or tuple(states.shape[-2:]) != wanted:
            raise WorkbenchError(
                "This Jacobian lens was fitted for the tokens of another scale, or for states of "
                "another width: fit one for these."
            )
        gradient, intercept = (
            each[layer, levels].to(states.device) for each in (self.gradient, self.intercept)
        )
        return torch.einsum("...nw,ntw->...nt", states.float(), gradient) + intercept

    def save(self, path: Path) -> None:
        """Write the lens as safetensors."""
        tensors = {"gradient": self.gradient, "intercept": self.intercept}
        about = {"tokens": self.chosen.tokens, "inner": self.chosen.trie.inner}
        save_lens(path, KIND, self.model, tensors, **about)


def load_jacobian_lens(path: Path, lm: LanguageModel, trie: ScaleTrie) -> JacobianLens:
    """Read a lens of this model and this scale.

    Raises:
        WorkbenchError: for a file that is no Jacobian lens, a lens of another model, and one of
            another scale.
    """
    tensors, about = load_lens(path, KIND, ("gradient", "intercept"), lm)
    tokens, inner = about["tokens"], tuple(map(tuple, about["inner"]))
    own = len(trie.tokens)
    if tuple(tokens[:own]) != trie.tokens or inner != trie.inner:
        raise WorkbenchError(
            f"the lens in {path} was fitted for another scale's tokens: fit one for this scale"
        )
    return JacobianLens(
        **tensors, chosen=LensTokens(trie, tuple(tokens[own:])), model=about["model"]
    )


def fit_jacobian_lens(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    chosen: LensTokens,
    *,
    tokens_per_forward: int,
    beginnings: Beginnings | None = None,
) -> JacobianLens:
    """Fit a lens on the prompts of training questions; a few dozen are enough.

    Memory and passes are those of :mod:`workbench.bottleneck.node_gradients`, for batches of
    ``tokens_per_forward`` tokens; the lens itself takes layers x levels x tokens x width numbers.

    Args:
        beginnings: returns keys and values of the first tokens of some prompts, where they have
            been computed before.

    Raises:
        WorkbenchError: for no prompts, a model whose prompts cannot be packed, and one whose layers
            are split over processes.
    """
    if not prompts:
        raise WorkbenchError("A Jacobian lens needs at least one training question.")
    why_not = why_no_gradients(lm)
    if why_not:
        raise WorkbenchError(why_not)
    lengths, nodes = [len(prompt) for prompt in prompts], chosen.trie.tree.size
    batches = plan_batches(lengths, tokens_per_forward, nodes)

    def sums(batch: Rows) -> NodeSums:
        mine = [prompts[row] for row in batch]
        kept = _begin(lm, mine) if beginnings is None else beginnings(batch)
        begun = kept.prompts.lengths.tolist()
        rests = [prompt[length:] for prompt, length in zip(mine, begun, strict=True)]
        return node_sums(lm, kept, rests, chosen)

    shown = progress.track(batches, "fitting the Jacobian lens")
    total = reduce(add, (sums(batch) for batch in shown))
    return _lens_of(total, chosen, fingerprint_as_run(lm))


def why_no_gradients(lm: LanguageModel) -> str:
    """Return why no Jacobian lens can be fitted on a model; "" where one can."""
    try:
        require_masks(lm)
    except WorkbenchError as error:
        return str(error)
    if process_count(lm.base()) > 1:
        return (
            "Gradients are not taken through a tensor-parallel model; load it whole or with a "
            "device map."
        )
    return ""


def _lens_of(total: NodeSums, chosen: LensTokens, model: str) -> JacobianLens:
    weight = total.weight[:, None]
    gradient = total.gradient / weight[..., None]
    logit, state = total.logit / weight, total.state / weight
    intercept = logit - torch.einsum("lvtw,lvw->lvt", gradient, state)
    return JacobianLens(gradient.float(), intercept.float(), chosen, model)


def _begin(lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> CachedPrompts:
    """Compute the keys and values of prompts without their last token, or without the last ones
    that the adapter acts on.
    """
    last = lm.invocation_length or 1
    begun = pad_prompts(
        [prompt[:-last] for prompt in prompts], lm.tokenizer.pad_token_id, lm.device
    )
    cache = PromptCache(begun.columns)
    with nullcontext() if lm.invocation_length is None else adapter_off(lm):
        run_joint(lm, begun, empty_tail(begun), None, (), cache)
    return CachedPrompts(begun, cache, {}, 0)
