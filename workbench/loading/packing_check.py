"""Run a model's packed pass and compare it with plain forwards of the untouched model.

Two prompts of unequal length, longer than any attention window (windows are shortened for the
check, see :mod:`workbench.loading.short_windows`). In every layer the residual stream is replaced
at three tokens at once, and the prompts' last logits are read three ways: in plain forwards,
unpadded and without a mask of ours, in which a hook writes the states (one row a layer, every row
the same prompt); packed; and, in the middle layer, packed on kept keys and values, and in the loop
of hooked, padded forwards. All must agree to the precision of the model.

A model that takes its masks as one tensor or one for every kind of layer is found out by trying.
The check says nothing about prompts beyond the length that a model was made for.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.loading.short_windows import short_windows, unknown_windows
from workbench.models import LanguageModel, hidden_of, with_hidden
from workbench.models.architectures import Masks
from workbench.models.tolerance import tolerance_of
from workbench.trace.decoder import takes
from workbench.trace.hooked_loop import loop_branches
from workbench.trace.interventions import Branch, Patch
from workbench.trace.masks import CHUNKED, SLIDING
from workbench.trace.packed import patch_branches
from workbench.trace.record import record_states
from workbench.trace.sites import Site

LENGTHS = (5, 7)
MASKED = ("full_attention", SLIDING, CHUNKED)
"""The kinds of layers that mix positions by attention under a mask, and by nothing else."""
READ = 256


@dataclass(frozen=True, eq=False)
class Plain:
    """What plain forwards gave.

    Attributes:
        read: [prompts, 1 + layers, read entries] logits, unpatched first.
        states: [layers, width] the residual stream at the longer prompt's second token.
    """

    read: Tensor
    states: Tensor


@dataclass(frozen=True)
class Way:
    """A way of packing: the form in which the decoder takes masks, whether branches may begin at
    any layer, and why it does not serve ("" if it does).
    """

    masks: Masks
    independent: bool
    why_not: str = ""

    def applied_to(self, lm: LanguageModel) -> LanguageModel:
        """Return the model, packed in this way, or run by the loop where it does not serve."""
        row = replace(
            lm.architecture,
            masks=self.masks,
            independent=self.independent,
            packable=not self.why_not,
            why_not=self.why_not,
        )
        return replace(lm, architecture=row)


def prompts_of(lm: LanguageModel) -> list[list[int]]:
    """Return two prompts of unequal length, of tokens the model embeds."""
    rows = min(lm.embedding().weight.shape[0], int(lm.config.vocab_size))
    generator = torch.Generator().manual_seed(0)
    low = min(100, rows // 4)
    return [torch.randint(low, rows, (n,), generator=generator).tolist() for n in LENGTHS]


def check_packing(lm: LanguageModel) -> Way:
    """Return the way in which the model can be packed, or why it cannot.

    Raises:
        WorkbenchError: where not even the loop of forwards gives what plain forwards give.
    """
    prompts = prompts_of(lm)
    refused = _refused(lm)
    with torch.no_grad(), short_windows(lm):
        plain, branches = _plain(lm, prompts)
        found: list[str] = [refused] if refused else []
        for way in () if refused else _ways(lm):
            why = _packs(way.applied_to(lm), prompts, branches, plain)
            if not why:
                return way
            found.append(why)
        why_not = refused or f"packed it does not give what plain forwards give ({found[0]})"
        way = Way("one", True, why_not)
        loop = replace(way.applied_to(lm), warned=set())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is a loop is said when it is used
            looped = _loop(loop, prompts, branches, _few(lm))
        fault = _differs(loop, looped, plain, _few(lm))
        if fault:
            raise WorkbenchError(
                f"the model {lm.name!r} is patched by no method here as by plain forwards ({fault})"
                ": it keeps something from one forward to the next, or computes rows by their "
                "neighbours; use another model"
            )
        return way


def _ways(lm: LanguageModel) -> list[Way]:
    kinds = getattr(lm.config, "layer_types", None)
    forms: tuple[Masks, ...] = ("by_layer_type", "one") if kinds else ("one",)
    return [Way(masks, independent) for independent in (True, False) for masks in forms]


def _few(lm: LanguageModel) -> list[int]:
    """Return the layers in which the slower ways are compared."""
    return [lm.n_layers // 2]


def _refused(lm: LanguageModel) -> str:
    """Say why a model is not even tried: kinds of layers, and windows, that short prompts say
    nothing about.
    """
    kinds = sorted(set(getattr(lm.config, "layer_types", None) or ()) - set(MASKED))
    if kinds:
        return (
            f"its {' and '.join(kinds)} layers do more than masked attention: a recurrent state, "
            "or a choice among all tokens, is nothing that a mask can separate"
        )
    windows = unknown_windows(lm)
    if windows:
        return f"its layers have a window of their own ({', '.join(windows)}) by columns"
    return ""


def _plain(lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> tuple[Plain, list[Branch]]:
    """Run the plain forwards; return what they gave, and the branches that were run."""
    entries = min(READ, int(lm.config.vocab_size))
    states = _states(lm, prompts[-1])
    places = torch.tensor([_places(len(prompt)) for prompt in prompts])
    # States of other tokens of the longer prompt, shifted so that they are nothing the model made.
    values = torch.stack(
        [
            torch.stack(
                [states[:, (place + 2) % states.shape[1]].roll(1, -1) for place in where], 1
            )
            for where in places.tolist()
        ]
    )
    branches: list[Branch] = [
        [Patch(Site(layer), places[:, n], values[:, layer, n]) for n in range(places.shape[1])]
        for layer in range(lm.n_layers)
    ]
    read = torch.stack(
        [
            _patched_rows(lm, prompt, places[row].tolist(), values[row])[:, :entries]
            for row, prompt in enumerate(prompts)
        ]
    )
    return Plain(read, states[:, 1]), branches


def _places(length: int) -> list[int]:
    return [1, length // 2, length - 1]


def _states(lm: LanguageModel, prompt: Sequence[int]) -> Tensor:
    """Return the residual stream after every layer in a plain forward, [layers, tokens, width]."""
    seen: list[Tensor] = []
    streams = lm.architecture.streams
    handles = [
        layer.register_forward_hook(
            lambda _m, _a, out: seen.append(hidden_of(out, streams)[0].clone())
        )
        for layer in lm.layers()
    ]
    try:
        lm.base()(input_ids=torch.tensor([list(prompt)], device=lm.device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack([states.to(lm.device) for states in seen])


def _patched_rows(
    lm: LanguageModel, prompt: Sequence[int], places: list[int], values: Tensor
) -> Tensor:
    """Return the last logits [1 + layers, vocab] of a batch of the same prompt, row 1 + l patched
    in layer l by ``values`` [layers, places, width].
    """
    ids = torch.tensor([list(prompt)], device=lm.device).expand(1 + lm.n_layers, -1)

    def write(layer: int) -> object:
        def hook(_module: object, _args: object, output: object) -> object:
            hidden = hidden_of(output, lm.architecture.streams).clone()
            hidden[1 + layer, places] = values[layer].to(hidden)
            return with_hidden(output, hidden, lm.architecture.streams)

        return hook

    handles = [
        layer.register_forward_hook(write(index))  # type: ignore[arg-type]
        for index, layer in enumerate(lm.layers())
    ]
    last = {"logits_to_keep": 1} if takes(lm.base(), "logits_to_keep") else {}
    try:
        return lm.base()(input_ids=ids, use_cache=False, **last).logits[:, -1].float()
    finally:
        for handle in handles:
            handle.remove()


def _packs(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], branches: Sequence[Branch], plain: Plain
) -> str:
    """Say where a packed pass, on kept keys too, or the loop or a recording differs from plain
    forwards.
    """
    entries = plain.read.shape[-1]
    everything = list(range(lm.n_layers))
    columns = max(LENGTHS) * (1 + lm.n_layers) * len(prompts)
    few = _few(lm)
    try:
        joint = patch_branches(
            lm, prompts, branches, lambda z: z[:, :entries], tokens_per_forward=columns
        )
        kept = patch_branches(
            lm,
            prompts,
            [branches[n] for n in few],
            lambda z: z[:, :entries],
            tokens_per_forward=2 * max(LENGTHS) + 2,
        )
        looped = _loop(lm, prompts, branches, few)
        states = record_states(lm, prompts, [[1]] * len(prompts))[-1, :, 0]
    except Exception as error:  # a decoder that takes no 4-D mask or positions may raise anything
        return (
            f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}"
            if str(error).strip()
            else type(error).__name__
        )
    both = torch.cat([joint.base[:, None], joint.patched], dim=1)
    again = torch.cat([kept.base[:, None], kept.patched], dim=1)
    return (
        _differs(lm, both, plain, everything)
        or _differs(lm, again, plain, few)
        or _differs(lm, looped, plain, few)
        or _error(lm, states.to(plain.states), plain.states, "recorded states")
    )


def _loop(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    branches: Sequence[Branch],
    layers: Sequence[int],
) -> Tensor:
    entries = min(READ, int(lm.config.vocab_size))
    found = loop_branches(
        lm,
        prompts,
        [branches[n] for n in layers],
        lambda z: z[:, :entries],
        tokens_per_forward=4 * max(LENGTHS),
    )
    return torch.cat([found.base[:, None], found.patched], dim=1)


def _differs(lm: LanguageModel, found: Tensor, plain: Plain, layers: Sequence[int]) -> str:
    wanted = plain.read[:, [0, *(1 + layer for layer in layers)]]
    return _error(lm, found.to(wanted), wanted, "logits")


def _error(lm: LanguageModel, found: Tensor, wanted: Tensor, what: str) -> str:
    """Say how far the numbers are apart where that is more than rounding."""
    error = float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-6))
    if error <= tolerance_of(lm):
        return ""
    return f"{what} differ by {error:.1e} of the largest"
