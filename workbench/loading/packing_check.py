"""Run a model's packed pass and compare it with plain forwards of the untouched model.

Two prompts of unequal length, longer than any attention window (windows are shortened for the
check, see :mod:`workbench.loading.short_windows`). In every layer the residual stream is replaced
at three tokens at once, and the prompts' last logits are read three ways: in plain forwards
(:mod:`workbench.loading.plain_forwards`); packed; and, in one branch, packed on kept keys and
values, and in the loop of hooked, padded forwards. All must agree to the precision of the model,
and so must recorded states.

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
from workbench.loading.plain_forwards import (
    LENGTHS,
    READ,
    Plain,
    branches_of,
    prompts_of,
    run_plain,
)
from workbench.loading.short_windows import short_windows, unknown_windows
from workbench.models import LanguageModel
from workbench.models.architectures import Masks
from workbench.models.tolerance import tolerance_of
from workbench.trace.hooked_loop import loop_branches
from workbench.trace.interventions import Branch
from workbench.trace.masks import CHUNKED, SLIDING
from workbench.trace.packed import patch_branches
from workbench.trace.record import record_states

MASKED = ("full_attention", SLIDING, CHUNKED)
"""The kinds of layers that mix positions by attention under a mask, and by nothing else."""


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


def check_packing(lm: LanguageModel) -> Way:
    """Return the way in which the model can be packed, or why it cannot.

    Raises:
        WorkbenchError: where not even the loop of forwards gives what plain forwards give.
    """
    prompts = prompts_of(lm)
    refused = _refused(lm)
    with torch.no_grad(), short_windows(lm), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a model is run by the loop is said when it is used
        states = _recorded(_looping(lm, refused) if refused else lm, prompts)
        branches = branches_of(lm, prompts, states)
        plain = run_plain(lm, prompts, branches)
        why = refused or _misread(lm, states, plain)
        for way in () if why else _ways(lm):
            differs = _packs(way.applied_to(lm), prompts, branches, plain)
            if not differs:
                return way
            why = why or differs
        way = Way(
            "one", True, refused or f"packed it does not give what plain forwards give ({why})"
        )
        loop = _looping(lm, way.why_not)
        few = _few(branches)
        fault = _misread(loop, _recorded(loop, prompts), plain) or _differs(
            loop, _loop(loop, prompts, branches, few), plain, few
        )
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


def _looping(lm: LanguageModel, why_not: str) -> LanguageModel:
    """Return the model, run by the loop, without a mark that this was said."""
    return replace(Way("one", True, why_not).applied_to(lm), warned=set())


def _few(branches: Sequence[Branch]) -> list[int]:
    """Return the branches in which the slower ways are compared."""
    return [len(branches) // 2]


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


def _recorded(lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> Tensor:
    """Return the recorded residual stream after every layer at the longer prompt's last tokens, as
    many as the shorter has, [layers, tokens, width].
    """
    shorter, longer = LENGTHS
    tokens = [list(range(shorter)), list(range(longer - shorter, longer))]
    return record_states(lm, prompts, tokens)[1]


def _packs(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], branches: Sequence[Branch], plain: Plain
) -> str:
    """Say where a packed pass, on kept keys too, or the loop differs from plain forwards."""
    entries = plain.read.shape[-1]
    everything = list(range(len(branches)))
    columns = max(LENGTHS) * (1 + len(branches)) * len(prompts)
    few = _few(branches)
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
    except Exception as error:  # a decoder that takes no 4-D mask or positions may raise anything
        first = next(iter(str(error).strip().splitlines()), "")
        return f"{type(error).__name__}: {first[:120]}" if first else type(error).__name__
    both = torch.cat([joint.base[:, None], joint.patched], dim=1)
    again = torch.cat([kept.base[:, None], kept.patched], dim=1)
    return (
        _differs(lm, both, plain, everything)
        or _differs(lm, again, plain, few)
        or _differs(lm, looped, plain, few)
    )


def _misread(lm: LanguageModel, states: Tensor, plain: Plain) -> str:
    return _error(lm, states.to(plain.states), plain.states, "recorded states")


def _loop(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    branches: Sequence[Branch],
    few: Sequence[int],
) -> Tensor:
    entries = min(READ, int(lm.config.vocab_size))
    found = loop_branches(
        lm,
        prompts,
        [branches[n] for n in few],
        lambda z: z[:, :entries],
        tokens_per_forward=4 * max(LENGTHS),
    )
    return torch.cat([found.base[:, None], found.patched], dim=1)


def _differs(lm: LanguageModel, found: Tensor, plain: Plain, numbers: Sequence[int]) -> str:
    """Say where the branches with these ``numbers`` differ from the plain ones."""
    wanted = plain.read[:, [0, *(1 + number for number in numbers)]]
    return _error(lm, found.to(wanted), wanted, "logits")


def _error(lm: LanguageModel, found: Tensor, wanted: Tensor, what: str) -> str:
    """Say how far the numbers are apart where that is more than rounding."""
    error = float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-6))
    if error <= tolerance_of(lm):
        return ""
    return f"{what} differ by {error:.1e} of the largest"
