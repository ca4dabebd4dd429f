"""Match another model's run to that of the patched model: how both cut texts into tokens, what is
read of each, and which heads or neurons they have.

Checkpoints of one origin may differ in vocabulary (added control tokens), in what is put before a
text, and in the chat template. A place is one in both if it has a name in both; an index is one
only where both tokenizers give the donor's prompt the same token ids. A scale's further tokens are
patched one by one, so both models must cut its texts alike.

That tokens agree says nothing about whether both models mean the same by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.api.donors import DonorRun, RecordedDonor
from workbench.api.grid import Grid
from workbench.api.prompts import PromptTokens, token_texts
from workbench.api.readouts import Read, Readout, readout_of
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.slices import slices_of
from workbench.trace.sites import Site
from workbench.trace.token_tree import TokenTree


def cuts_alike(lm: LanguageModel, donor: PromptTokens) -> bool:
    """Return whether ``lm`` cuts the donor's prompts into the same tokens, so that an index means
    one place in both.
    """
    return donor.encoded_for(lm).rows == donor.rows


def same_vocabulary(ours: Any, theirs: Any) -> bool:
    """Return whether two tokenizers give every token id the same text."""
    return ours is theirs or ours.get_vocab() == theirs.get_vocab()


def donor_readout(lm: LanguageModel, read: Read, readout: Readout, donor: DonorRun) -> Readout:
    """Return what reads the donor's run as ``readout`` reads the patched one's.

    Args:
        read: what ``readout`` was made of; a format where it is a scale's tokens.

    Raises:
        WorkbenchError: for a donor that was recorded with another readout, a function of logits
            over another vocabulary, and a scale whose texts the donor cuts otherwise.
    """
    if isinstance(donor, RecordedDonor):
        if donor.read != readout.label:
            raise WorkbenchError(
                f"The donor was recorded to read the {donor.read}, and the {readout.label} is to "
                "be read; give record_donor the same read."
            )
        require_nodes(node_texts(lm, readout.tree), donor.nodes)
        return readout
    if same_vocabulary(lm.tokenizer, donor.lm.tokenizer):
        return readout
    if readout.tokens is None and not readout.tree.size:
        raise WorkbenchError(
            "A function of logits counts token ids, and the donor model has another vocabulary; "
            "read strings or an elicitation format, which each model tokenises itself."
        )
    theirs = readout_of(donor.lm, read, donor.prompts)
    require_nodes(node_texts(lm, readout.tree), node_texts(donor.lm, theirs.tree))
    return theirs


def require_sites(lm: LanguageModel, grid: Grid, donor: DonorRun) -> None:
    """Refuse a donor model whose heads or neurons are not those of ``lm``, and sites that were not
    recorded.

    Raises:
        WorkbenchError: for either.
    """
    theirs = donor.slices if isinstance(donor, RecordedDonor) else slices_at(donor.lm, grid.sites)
    for component, (count, size) in slices_at(lm, grid.sites).items():
        if theirs.get(component, (count, size)) != (count, size):
            other = theirs[component]
            raise WorkbenchError(
                f"The donor model has {other[0]} of {component} in a layer, {other[1]} numbers "
                f"each, the patched one {count} of {size}; patch whole components, such as "
                "resid_post."
            )
    missing = (
        [site for site in grid.sites if site not in donor.states]
        if isinstance(donor, RecordedDonor)
        else []
    )
    if missing:
        raise WorkbenchError(
            f"The donor's run holds no states of {missing[0]}; record it with the same over, "
            "layers, component and neuron_window."
        )


def node_texts(lm: LanguageModel, tree: TokenTree) -> tuple[str, ...]:
    """Return the text from a prompt's end to each node of a tree."""
    return tuple(
        "".join(token_texts(lm.tokenizer, [tree.tokens[step] for step in tree.path(node)]))
        for node in range(tree.size)
    )


def require_nodes(ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Refuse a scale that the two models cut into other tokens.

    Raises:
        WorkbenchError: for such a scale.
    """
    if tuple(ours) != tuple(theirs):
        raise WorkbenchError(
            f"The models cut the scale's texts into other tokens ({len(ours)} and {len(theirs)} "
            "of them are read after the prompt), so the donor has no states for all of them; "
            "choose a format whose scale is single tokens in both, such as letters."
        )


def slices_at(lm: LanguageModel, sites: Sequence[Site]) -> dict[str, tuple[int, int]]:
    """Return how many heads or neurons a layer has, and the size of one, by component."""
    found: dict[str, tuple[int, int]] = {}
    for component in dict.fromkeys(site.component for site in sites):
        slices = slices_of(lm, component)
        if slices is not None:
            found[component] = (slices.count, slices.size)
    return found
