"""Patch a donor's states into a model's runs and let it write: :func:`generate_texts`, a text for
every prompt, unpatched and in every layer's branch.

The states are those of a sweep (:mod:`workbench.api.patching`), written at the places of ``at``
once, or held: at those places and at every token after them, generated ones included. Beside each
layer's branch stands that of a random vector as long as what the donor changes, which shows what
any change of that length does to the text.

A text that a patch leaves as it is does not show that the patch did nothing: probabilities may have
moved (read them with :func:`workbench.api.patching.sweep`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.api.control_names import RANDOM_VECTOR, site_number
from workbench.api.donor_match import cuts_alike, require_sites
from workbench.api.donors import Donor, ModelPrompts, RecordedDonor, open_donor, written_states
from workbench.api.grid import Grid, make_grid
from workbench.api.positions import LAST, At, Places, find_places
from workbench.api.prompt_runs import States, record_sites, run_as_named
from workbench.api.prompts import Prompts, PromptTokens, encode_prompts
from workbench.elicit.greedy import stop_after_number, stop_at_end, stop_at_newline
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.ablation_values import matched_noise
from workbench.patch.branches import make_patch
from workbench.patch.generation import BranchTexts, WrittenText, generate_branches
from workbench.patch.text_branches import TextBranch
from workbench.patch.text_choice import Sampling
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD, WRITTEN_BYTES
from workbench.trace.token_tree import NO_TREE

Until = Literal["end", "line", "number"]
_STOPS: Mapping[Until, Callable[[LanguageModel], Tensor]] = {
    "end": stop_at_end,
    "line": stop_at_newline,
    "number": stop_after_number,
}


@dataclass(frozen=True, eq=False)
class Texts:
    """What a model wrote after each prompt. ``branches`` name the condition and the layers of each
    branch of ``written``; ``decode`` makes text of token ids.
    """

    branches: tuple[tuple[str, str], ...]
    written: BranchTexts
    decode: Callable[[Sequence[int]], str]

    def table(self) -> pd.DataFrame:
        """Return a line for each text: prompt, condition (``base``, ``donor``, ``random_vector``),
        layer, sample, text, its log-probability in nats, whether it ended within the limit, and
        whether it differs from the unpatched text of that sample.
        """
        lines = []
        for prompt, (base, patched) in enumerate(
            zip(self.written.base, self.written.patched, strict=True)
        ):
            named = zip((("base", ""), *self.branches), (base, *patched), strict=True)
            for (condition, layer), texts in named:
                for sample, (text, plain) in enumerate(zip(texts, base, strict=True)):
                    lines.append(
                        {
                            "prompt": prompt,
                            "condition": condition,
                            "layer": layer,
                            "sample": sample,
                            "text": self.decode(text.tokens),
                            "log_probability": sum(text.log_probabilities),
                            "ended": text.ended,
                            "changed": text.tokens != plain.tokens,
                        }
                    )
        return pd.DataFrame(lines)

    def summary(self) -> pd.DataFrame:
        """Return the share of texts that each condition changes, by layer."""
        patched = self.table().query("condition != 'base'")
        shares = patched.groupby(["layer", "condition"], sort=False)["changed"].mean()
        return shares.unstack("condition")

    def text(self, prompt: int, layer: Any = None, sample: int = 0) -> str:
        """Return one text: unpatched, or with the donor's states in ``layer``.

        Raises:
            WorkbenchError: for a layer that was not patched.
        """
        texts: tuple[WrittenText, ...] = self.written.base[prompt]
        if layer is not None:
            named = ("donor", str(layer))
            if named not in self.branches:
                layers = ", ".join(label for what, label in self.branches if what == "donor")
                raise WorkbenchError(f"Layer {layer} was not patched; there are {layers}.")
            texts = self.written.patched[prompt][self.branches.index(named)]
        return self.decode(texts[sample].tokens)


def generate_texts(
    lm: LanguageModel,
    prompts: Prompts,
    donor: Any,
    *,
    at: At = LAST,
    layers: Any = "all",
    component: Any = "resid_post",
    window: int = 1,
    held: bool = False,
    tokens: int = 32,
    until: Until = "end",
    sampling: Sampling | None = None,
    controls: bool = True,
    seed: int = 0,
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
    most_bytes: int = WRITTEN_BYTES,
) -> Texts:
    """Write after every prompt, unpatched and with a donor's states in every layer in turn.

    Args:
        prompts: as :func:`workbench.api.patching.sweep` takes them, asked questions left out; so
            are ``donor``, ``at``, ``layers``, ``component`` and ``window``.
        held: patch all later tokens too, with the same states; for a Vector that is added, say.
        tokens: most tokens of a text.
        until: what ends a text: the "end" of the turn, the "line" (or the turn), or whatever is no
            part of a "number".
        sampling: draw the texts; greedy if not given.
        controls: write under random vectors as well; their draws are of ``seed``.

    Raises:
        WorkbenchError: before any forward, for arguments that do not fit.
    """
    if until not in get_args(Until):
        raise WorkbenchError(f"A text ends at {', '.join(get_args(Until))}, not at {until!r}.")
    if tokens < 1:
        raise WorkbenchError(f"A text has one token or more; tokens is {tokens}.")
    encoded = encode_prompts(lm, prompts)
    with open_donor(lm, donor, encoded) as source:
        run = source if isinstance(source, ModelPrompts | RecordedDonor) else None
        theirs = None if run is None else run.prompts
        places = find_places(
            at, encoded, theirs, cut_alike=theirs is None or cuts_alike(lm, theirs)
        )
        grid = make_grid(
            lm,
            ("layer",),
            layers=layers,
            window=window,
            component=component,
            neuron_window=1,
            places=places.labels,
        )
        if run is not None:
            require_sites(lm, grid, run)
        if sampling is not None:
            sampling.require_seeds(len(grid.cells) * (1 + controls))
        values, noise, added = _values(lm, encoded, source, places, grid, tokens_per_forward, seed)
        with run_as_named(lm):
            conditions = {"donor": values} | ({RANDOM_VECTOR: noise} if controls else {})
            branches = [
                (condition, str(label), _branch(cell_sites, places, states, added, held))
                for condition, states in conditions.items()
                for label, cell_sites in zip(
                    grid.axes[0].labels, (cell.sites for cell in grid.cells), strict=True
                )
            ]
            written = generate_branches(
                lm,
                encoded.rows,
                [branch for _, _, branch in branches],
                limit=tokens,
                stop=_STOPS[until](lm),
                sampling=sampling,
                tokens_per_forward=tokens_per_forward,
                most_bytes=most_bytes,
            )

    def decode(ids: Sequence[int]) -> str:
        return str(lm.tokenizer.decode(np.asarray(ids), skip_special_tokens=True))

    return Texts(tuple((what, label) for what, label, _ in branches), written, decode)


def _values(
    lm: LanguageModel,
    prompts: PromptTokens,
    donor: Donor,
    places: Places,
    grid: Grid,
    tokens_per_forward: int,
    seed: int,
) -> tuple[States, States, bool]:
    """Return the donor's states at the places, random ones as far from the prompts' own, and
    whether they are added.
    """
    own = record_sites(lm, prompts, places.base, grid.sites, tokens_per_forward, NO_TREE)
    theirs: States | None = None
    if isinstance(donor, RecordedDonor):
        theirs = {site: donor.at(site, places.donor).to(lm.device) for site in grid.sites}
    elif isinstance(donor, ModelPrompts):
        theirs = record_sites(
            donor.lm, donor.prompts, places.donor, grid.sites, tokens_per_forward, NO_TREE
        )
    values: States = {}
    noise: States = {}
    added = False
    for site in grid.sites:
        mine = None if theirs is None else theirs[site]
        values[site], mode = written_states(donor, own[site], mine)
        added = mode == "add"
        reference = torch.zeros_like(own[site]) if added else own[site]
        noise[site] = matched_noise(
            reference, values[site].to(reference), seed + site_number(lm, site)
        )
    return values, noise, added


def _branch(
    sites: Sequence[Any], places: Places, states: States, added: bool, held: bool
) -> TextBranch:
    patches = [
        make_patch(
            site,
            places.base[:, place],
            states[site][:, place],
            "add" if added else "replace",
            None,
        )
        for site in sites
        for place in range(len(places.labels))
    ]
    return TextBranch(held=patches) if held else TextBranch(patches)
