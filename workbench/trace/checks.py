"""What is checked before any forward runs: sites the model has, positions inside the prompt,
values of the right width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.compat import attention_kernel
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.components import missing_component_reason
from workbench.models.invocation import active_invocation
from workbench.trace.interventions import Branch
from workbench.trace.sites import Site

KERNELS = ("sdpa", "eager")


def require_masks(lm: LanguageModel) -> None:
    """Refuse models in which a 4-D mask cannot keep branches, or padding, apart."""
    if not lm.architecture.packable:
        raise WorkbenchError(
            f"Packed, padded and cached forwards are not valid for {lm.architecture.family}: "
            f"{lm.architecture.why_not}; "
            "use a model whose layers mix tokens by attention alone."
        )
    kernel = attention_kernel(lm.base())
    if kernel not in KERNELS:
        raise WorkbenchError(
            f"The model runs the attention kernel {kernel!r}, which takes no 4-D mask, so packed "
            "branches and padding would "
            "see each other; load it with attention='sdpa' or 'eager'."
        )


def require_layer(lm: LanguageModel, layer: int) -> None:
    if not 0 <= layer < lm.n_layers:
        raise WorkbenchError(
            f"Layer {layer} does not exist; the model has layers 0 to {lm.n_layers - 1}."
        )


def require_site(lm: LanguageModel, site: Site) -> None:
    """Refuse a layer, component or head the model does not have."""
    require_layer(lm, site.layer)
    why = missing_component_reason(lm, site.component)
    if why:
        raise WorkbenchError(
            f"{lm.architecture.family} has no {site.component}: {why}; choose another component "
            f"for {site}."
        )
    if site.head is not None and site.head >= lm.n_heads:
        raise WorkbenchError(
            f"Head {site.head} does not exist; the model has query heads 0 to {lm.n_heads - 1}."
        )


def require_sites(lm: LanguageModel, sites: Sequence[Site]) -> None:
    """Refuse sites the model lacks, and heads mixed with sites of another width."""
    if not sites:
        raise WorkbenchError("Name at least one site to record.")
    for site in sites:
        require_site(lm, site)
    if len({site.head is None for site in sites}) > 1:
        raise WorkbenchError(
            "Heads have another width than the other components; record them in a call of their "
            "own."
        )


def require_branches(
    lm: LanguageModel, lengths: Tensor, branches: Sequence[Branch], nodes: int
) -> Tensor:
    """Check every patch of every branch; returns their token positions [rows, patches] in branch
    order.

    ``lengths`` [rows] counts each prompt's tokens; positions from there on name the continuation's
    ``nodes``.
    """
    if not branches or any(len(branch) == 0 for branch in branches):
        raise WorkbenchError("Give at least one branch, and at least one patch in each.")
    patches = [patch for branch in branches for patch in branch]
    for site in {patch.site for patch in patches}:
        require_site(lm, site)
    for patch in patches:
        width = lm.width if patch.site.head is None else lm.head_size
        if tuple(patch.value.shape) != (len(lengths), width):
            raise WorkbenchError(
                f"The value to write at {patch.site} is {tuple(patch.value.shape)}, not [rows, "
                "width] = "
                f"{(len(lengths), width)}; donors need one row a prompt, and donor and base must "
                "come from models of the same width."
            )
    positions = torch.stack([patch.positions for patch in patches], dim=1).cpu()
    if positions.is_floating_point() or positions.dtype == torch.bool:
        raise WorkbenchError("Token positions are whole numbers.")
    require_positions(positions, lengths, nodes)
    return positions.long()


def require_positions(positions: Tensor, lengths: Tensor, nodes: int) -> None:
    """Refuse positions [rows, n] outside prompts of ``lengths`` [rows] and the ``nodes`` behind
    them.
    """
    outside = (positions < 0) | (positions >= lengths[:, None] + nodes)
    if bool(outside.any()):
        row, at = torch.nonzero(outside)[0].tolist()
        raise WorkbenchError(
            f"Position {int(positions[row, at])} of prompt {row} lies outside its prompt, which "
            f"has {int(lengths[row])} "
            "tokens; count from 0 at the row's first token, padding left out."
        )


def require_within_invocation(lm: LanguageModel, positions: Tensor, lengths: Tensor) -> None:
    """Refuse branches that start before the tokens a switched-on adapter acts on.

    Packed, a branch's copies of earlier tokens stand behind the prompt, where the adapter would act
    on them too.
    """
    invocation = active_invocation(lm)
    if invocation is not None and bool((positions < lengths[:, None] - invocation).any()):
        raise WorkbenchError(
            f"The adapter acts on a prompt's last {invocation} tokens and a patch stands before "
            "them; patch within them, or with the adapter off."
        )


def require_one_invocation(lm: LanguageModel) -> None:
    """Refuse a switched-on adapter with a invocation on strings in which prompt and tree are not
    told apart.
    """
    if active_invocation(lm) is not None:
        raise WorkbenchError(
            f"{lm.architecture.family} is run on whole strings, in which an adapter on a prompt's "
            "last tokens cannot be told "
            "where it starts; use an adapter on every token."
        )
