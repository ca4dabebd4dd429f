"""Check, before any forward runs, that the model has the sites and edges, that positions are inside
the prompts and that values have the right width.
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
from workbench.models.slices import slice_width, slices_of
from workbench.trace.computed_addition import ComputedAddition
from workbench.trace.interventions import Branch, knockouts_of, patches_of
from workbench.trace.knockout_checks import (
    require_attention,
    require_keys_left,
    require_tokens,
)
from workbench.trace.knockouts import AttentionKnockout
from workbench.trace.sites import Site

KERNELS = ("sdpa", "eager")


def require_masks(lm: LanguageModel) -> None:
    """Refuse models in which a 4-D mask cannot keep branches, or padding, apart.

    Raises:
        WorkbenchError: for such a model, and for an attention kernel that takes no 4-D mask.
    """
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
    """Refuse a layer the model does not have.

    Raises:
        WorkbenchError: for such a layer.
    """
    if not 0 <= layer < lm.n_layers:
        raise WorkbenchError(
            f"Layer {layer} does not exist; the model has layers 0 to {lm.n_layers - 1}."
        )


def require_site(lm: LanguageModel, site: Site) -> None:
    """Refuse a layer, component or head the model does not have.

    Raises:
        WorkbenchError: for any of these.
    """
    require_layer(lm, site.layer)
    why = missing_component_reason(lm, site.component)
    if why:
        raise WorkbenchError(
            f"{lm.architecture.family} has no {site.component}: {why}; choose another component "
            f"for {site}."
        )
    slices = slices_of(lm, site.component)
    if slices is not None and site.index is not None and site.index + site.span > slices.count:
        what = {"neuron": "neuron", "head_out": "query head", "query": "query head"}.get(
            site.component, "key-value head"
        )
        raise WorkbenchError(
            f"{what.split()[-1].capitalize()} {site.index + site.span - 1} does not exist; the "
            f"model has {what}s 0 to {slices.count - 1}."
        )


def site_width(lm: LanguageModel, site: Site) -> int:
    """Return how many numbers a state at ``site`` has."""
    return slice_width(lm, site.component, site.span)


def require_sites(lm: LanguageModel, sites: Sequence[Site]) -> None:
    """Refuse an empty list of sites, sites the model lacks, and sites of different widths.

    Raises:
        WorkbenchError: for any of these.
    """
    if not sites:
        raise WorkbenchError("Name at least one site to record.")
    for site in sites:
        require_site(lm, site)
    widths = {site_width(lm, site): site.component for site in sites}
    if len(widths) > 1:
        named = ", ".join(f"{component} of {width}" for width, component in widths.items())
        raise WorkbenchError(
            f"The sites have states of different widths ({named}); record each width in a call of "
            "its own."
        )


def require_branches(
    lm: LanguageModel, lengths: Tensor, branches: Sequence[Branch], nodes: int
) -> Tensor:
    """Check every patch and knockout of every branch; return the patches' token positions [rows,
    patches] in branch order.

    ``lengths`` [rows] counts each prompt's tokens; positions from there on name the continuation's
    ``nodes``.

    Raises:
        WorkbenchError: for no branches, an empty one, a site the model lacks, a value that is not
            [rows, width], a subspace of another width, positions that are not whole numbers or lie
            outside, and edges the model lacks or needs.
    """
    if not branches or any(len(branch) == 0 for branch in branches):
        raise WorkbenchError(
            "Give at least one branch, and at least one patch or knockout in each."
        )
    for branch in branches:
        _require_knockouts(lm, lengths, knockouts_of(branch), nodes)
    patches = [patch for branch in branches for patch in patches_of(branch)]
    if not patches:
        return torch.zeros((len(lengths), 0), dtype=torch.long)
    for site in {patch.site for patch in patches}:
        require_site(lm, site)
    for patch in patches:
        width = site_width(lm, patch.site)
        if patch.addition is not None:
            require_addition(lm, patch.site, patch.addition)
            width = patch.addition.size
        if patch.subspace is not None and patch.subspace.width != width:
            raise WorkbenchError(
                f"The basis of the subspace at {patch.site} is {patch.subspace.width} wide, the "
                f"states there {width}; give a basis [{width}, r]."
            )
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


def require_addition(lm: LanguageModel, site: Site, addition: ComputedAddition) -> None:
    """Refuse an addition to states of another width, or computed from such or from a component the
    model lacks.

    Raises:
        WorkbenchError: for any of these, and for an addition to a slice.
    """
    if site.index is not None:
        raise WorkbenchError(
            f"What a pass computes is added to a whole component, not to {site}; use mlp_out, "
            "attn_out or the residual stream."
        )
    read = site if addition.source is None else Site(site.layer, addition.source)
    require_site(lm, read)
    for what, wanted, at in (
        ("reads", addition.source_width, read),
        ("writes", addition.width, site),
    ):
        if wanted != site_width(lm, at):
            raise WorkbenchError(
                f"The dictionary {what} states of {wanted} numbers and {at} has "
                f"{site_width(lm, at)}; take one that was trained on this model."
            )


def _require_knockouts(
    lm: LanguageModel, lengths: Tensor, knockouts: Sequence[AttentionKnockout], nodes: int
) -> None:
    """Refuse knockouts of one branch that do not fit the model, the prompts or each other.

    Raises:
        WorkbenchError: for any of these.
    """
    if not knockouts:
        return
    require_attention(lm)
    for knockout in knockouts:
        for layer in knockout.layers:
            require_layer(lm, layer)
            for head in knockout.heads or ():
                require_site(lm, Site(layer, "head_out", head))
        require_tokens(knockout, lengths, nodes)
    require_keys_left(lm, knockouts, lengths)


def require_positions(positions: Tensor, lengths: Tensor, nodes: int) -> None:
    """Refuse positions [rows, n] outside prompts of ``lengths`` [rows] and the ``nodes`` after
    them.

    Raises:
        WorkbenchError: for such a position.
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

    Packed, a branch's copies of earlier tokens come after the prompt, where the adapter would act
    on them too.

    Raises:
        WorkbenchError: for such a branch.
    """
    invocation = active_invocation(lm)
    if invocation is not None and bool((positions < lengths[:, None] - invocation).any()):
        raise WorkbenchError(
            f"The adapter acts on a prompt's last {invocation} tokens and a patch comes before "
            "them; patch within them, or with the adapter off."
        )


def require_one_invocation(lm: LanguageModel) -> None:
    """Refuse a switched-on adapter that acts on a prompt's last tokens, for strings in which prompt
    and tree are not told apart.

    Raises:
        WorkbenchError: for such an adapter.
    """
    if active_invocation(lm) is not None:
        raise WorkbenchError(
            f"{lm.architecture.family} is run on whole strings, in which an adapter on a prompt's "
            "last tokens cannot be told "
            "where it starts; use an adapter on every token."
        )
