"""Features patched by the packed engine, the loop, and hooks on unpadded strings written by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.dictionaries import make_dictionary
from tests.support.recurrent_models import build_recurrent
from workbench.errors import WorkbenchError
from workbench.features import (
    Dictionary,
    donor_features,
    scale_features,
    set_features,
    zero_features,
)
from workbench.models import LanguageModel
from workbench.models.components import scale_of
from workbench.trace import (
    Branch,
    Patch,
    Site,
    TokenTree,
    loop_branches,
    patch_branches,
    record,
)
from workbench.trace.backends import engine

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35, 36]]
ENDS = torch.tensor([9, 3, 6])
TREE = TokenTree((40, 41), (-1, 0))
MIXED = {"layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 5}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "gemma2": MIXED,
    "gpt_neox": {},
    "qwen3": {},
    "mixtral": {},
    "gpt2": {},
    "olmo2": {},
    "granite": {"residual_multiplier": 0.3},
    "cohere2": {},
}
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def logits(found: Tensor) -> Tensor:
    return found.float()


def places(kind: str = "jumprelu", **further: Any) -> list[Dictionary]:
    """Autoencoders of the stream, in it before the first layer's MLP, of what the MLP adds, and a
    transcoder with a skip.
    """
    return [
        make_dictionary(1, "resid_post", kind=kind, **further),
        make_dictionary(2, "resid_pre", kind=kind, seed=1, **further),
        make_dictionary(0, "mlp_out", kind=kind, seed=2, **further),
        make_dictionary(2, "mlp_out", "mlp_in", kind=kind, seed=3),
    ]


def changed(book: Dictionary, source: Tensor, features: Sequence[int], new: Any) -> Tensor:
    """What is added to a written state where ``source`` is read, from dense activations; ``new`` of
    the old activations [features] of those named.
    """
    every = torch.arange(book.features)
    acts = book.encode(source[None]).chosen(every)[0]
    after = acts.clone()
    for place, feature in enumerate(features):
        after[feature] = new(acts[feature], place)
    states = source.double()
    size = 1.0
    if book.normalisation == "layer_norm":
        size = float((states - states.mean()).std())
    if book.normalisation == "constant_norm":
        size = float(states.norm() / len(states) ** 0.5)
    return (((after - acts).double() @ book.decoder.double()) * size).float()


def by_hand(
    lm: LanguageModel, tokens: Sequence[int], book: Dictionary, at: int, add: Callable[..., Tensor]
) -> Tensor:
    """Next-token logits of one unpadded string under plain hooks of the modules."""
    layer, row = lm.layers()[book.site.layer], lm.architecture
    given: list[Tensor] = []

    def shifted(states: Tensor, factor: float) -> Tensor:
        states = states.clone()
        source = given[-1] if book.source else states[0, at] * factor
        states[0, at] += add(source) / factor
        return states

    def output(module: Any, args: Any, out: Any) -> Any:
        factor = scale_of(lm, book.site.component)
        new = shifted(out[0] if isinstance(out, tuple) else out, factor)
        return (new, *out[1:]) if isinstance(out, tuple) else new

    def read(module: Any, args: Any) -> None:
        given.append(args[0][0, at].clone())

    with ExitStack() as stack, torch.no_grad():
        if book.source:
            mlp = layer.get_submodule(row.mlp)
            stack.callback(mlp.register_forward_pre_hook(read).remove)
        if book.site.component == "resid_pre":
            handle = layer.register_forward_pre_hook(
                lambda module, args: (shifted(args[0], 1.0), *args[1:])
            )
        else:
            whole = book.site.component == "resid_post"
            module = layer if whole else layer.get_submodule(row.mlp_added)
            handle = module.register_forward_hook(output)
        stack.callback(handle.remove)
        found = lm.base()(input_ids=torch.tensor([list(tokens)]), use_cache=False)
    return found.logits[0, -1].float()


def changes_of(book: Dictionary) -> list[tuple[Callable[[Tensor], Patch], Any, list[int]]]:
    """A patch of each kind at given tokens, with what it makes of old activations, by row."""
    values = torch.tensor([[1.5, 0.0], [0.2, 3.0], [0.7, 0.4]])
    return [
        (lambda at: set_features(book, [4, 20], values, at), lambda row: values[row], [4, 20]),
        (lambda at: zero_features(book, range(24), at), lambda row: None, list(range(24))),
        (lambda at: scale_features(book, list(range(48)), 3.0, at), lambda row: 3.0, [*range(48)]),
    ]


def new_of(told: Any) -> Callable[[Tensor, int], Tensor]:
    if told is None:
        return lambda old, place: old * 0
    if isinstance(told, float):
        return lambda old, place: told * old
    return lambda old, place: told[place]


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_is_the_loop_and_hooks_by_hand(make_tiny: MakeTiny, family: str) -> None:
    """At the last token and two before it, rows of unequal length, one pass and many."""
    lm = make_tiny(family, **FAMILIES[family])
    cases = [
        (book, back, change)
        for book in places("topk" if family == "qwen3" else "jumprelu")
        for back, change in zip((0, 2, 0), changes_of(book), strict=True)
    ]
    branches = [[make(ENDS - back)] for _, back, (make, _, _) in cases]
    loop = loop_branches(lm, ROWS, branches, logits, tokens_per_forward=1000)
    for budget in (100_000, 60):
        packed = patch_branches(lm, ROWS, branches, logits, tokens_per_forward=budget)
        torch.testing.assert_close(packed.patched, loop.patched, **CLOSE)
    for number, (book, back, (_, told, features)) in enumerate(cases):
        for row, tokens in enumerate(ROWS):

            def add(source: Tensor, row: int = row, book: Dictionary = book) -> Tensor:
                return changed(book, source, features, new_of(told(row)))  # noqa: B023

            expected = by_hand(lm, tokens, book, int(ENDS[row]) - back, add)
            torch.testing.assert_close(packed.patched[row, number], expected, **CLOSE)
    moved = (packed.patched - packed.base[:, None]).abs().amax(dim=(0, 2))
    assert bool((moved > 1e-3).all())


@pytest.mark.parametrize("kind", ["relu", "jumprelu", "topk", "batch_topk"])
@pytest.mark.parametrize("normalisation", ["none", "layer_norm", "constant_norm"])
def test_no_change_changes_nothing_to_the_bit(
    tiny_lm: LanguageModel, kind: str, normalisation: Any
) -> None:
    """Factor 1 with no value: the error, and everything else the dictionary leaves out, stays."""
    books = places(kind, normalisation=normalisation)[:3]
    branches = [[scale_features(book, range(48), 1.0, ENDS)] for book in books]
    branches += [[Patch(Site(1), ENDS, torch.zeros(3, 32), "add")]]
    out = patch_branches(tiny_lm, ROWS, branches, logits, tokens_per_forward=1000)
    for number in range(3):
        assert torch.equal(out.patched[:, number], out.patched[:, 3])
    torch.testing.assert_close(out.patched[:, 0], out.base, **CLOSE)


def test_normalised_states_are_changed_at_their_own_scale(tiny_lm: LanguageModel) -> None:
    for normalisation in ("layer_norm", "constant_norm"):
        book = make_dictionary(1, normalisation=normalisation)
        make, _, features = changes_of(book)[1]
        found = patch_branches(tiny_lm, ROWS, [[make(ENDS)]], logits, tokens_per_forward=1000)
        for row, tokens in enumerate(ROWS):
            expected = by_hand(
                tiny_lm,
                tokens,
                book,
                int(ENDS[row]),
                lambda source: changed(book, source, features, new_of(None)),  # noqa: B023
            )
            torch.testing.assert_close(found.patched[row, 0], expected, **CLOSE)


def test_own_activations_as_the_donor_change_nothing_and_others_do(tiny_lm: LanguageModel) -> None:
    """Every feature's donor activation: then what is explained is the donor's, the error its own."""
    for book in places():
        where = [[int(end)] for end in ENDS]
        own = record(tiny_lm, ROWS, where, [book.source_site])[:, 0, 0]
        theirs, every = own.roll(1, dims=0), range(book.features)
        branches = [
            [donor_features(book, every, own, ENDS)],
            [donor_features(book, every, theirs, ENDS)],
        ]
        out = patch_branches(tiny_lm, ROWS, branches, logits, tokens_per_forward=1000)
        torch.testing.assert_close(out.patched[:, 0], out.base, **CLOSE)
        assert float((out.patched[:, 1] - out.base).abs().max()) > 1e-2
        made = [book.decode(book.encode(states), states) for states in (own, theirs)]
        if book.source is None:
            whole = Patch(book.site, ENDS, own + made[1] - made[0])
            same = patch_branches(tiny_lm, ROWS, [[whole]], logits, tokens_per_forward=1000)
            torch.testing.assert_close(out.patched[:, 1], same.patched[:, 0], **CLOSE)


def test_patches_before_it_in_the_branch_are_seen(tiny_lm: LanguageModel) -> None:
    """The MLP's input replaced: the transcoder reads the replacement, not what was there."""
    book = make_dictionary(2, "mlp_out", "mlp_in")
    value = torch.randn((3, 32), generator=torch.Generator().manual_seed(5))
    given = Patch(Site(2, "mlp_in"), ENDS, value)
    out = patch_branches(
        tiny_lm,
        ROWS,
        [
            [given],
            [given, donor_features(book, range(48), value, ENDS)],
            [given, zero_features(book, range(48), ENDS)],
        ],
        logits,
        tokens_per_forward=1000,
    )
    torch.testing.assert_close(out.patched[:, 0], out.patched[:, 1], **CLOSE)
    assert float((out.patched[:, 0] - out.patched[:, 2]).abs().max()) > 1e-2


def with_tree(book: Dictionary) -> list[Branch]:
    """At a prompt's last token and at a node after it, together and alone."""
    return [
        [zero_features(book, range(20), ENDS), zero_features(book, range(20), ENDS + 1)],
        [scale_features(book, range(48), 2.0, ENDS + 2)],
        [set_features(book, [3], torch.ones(3, 1), ENDS - 1)],
    ]


def test_nodes_of_a_tree_are_patched_too(tiny_lm: LanguageModel) -> None:
    branches = [branch for book in places() for branch in with_tree(book)]
    loop = loop_branches(tiny_lm, ROWS, branches, logits, tokens_per_forward=1000, tree=TREE)
    for budget in (100_000, 80):
        packed = patch_branches(
            tiny_lm, ROWS, branches, logits, tokens_per_forward=budget, tree=TREE
        )
        torch.testing.assert_close(packed.patched, loop.patched, **CLOSE)
    moved = (loop.patched - loop.base[:, None]).abs().amax(dim=(0, 2, 3))
    assert bool((moved > 1e-4).all())


@pytest.mark.filterwarnings("ignore:.*(rows of equal length|whole string):UserWarning")
def test_families_that_continue_from_states_give_the_loop() -> None:
    lm = build_recurrent("falcon_h1")
    branches = [branch for book in places()[1:] for branch in with_tree(book)]
    loop, forks = (
        run(lm, ROWS, branches, logits, tokens_per_forward=400, tree=TREE)
        for run in (loop_branches, patch_branches)
    )
    torch.testing.assert_close(forks.patched, loop.patched, **CLOSE)


def test_bfloat16_states_are_changed_once_rounded(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    lm.model.to(torch.bfloat16)
    book = make_dictionary(1)
    branches = [[scale_features(book, range(48), 1.0, ENDS)], [zero_features(book, [4], ENDS)]]
    branches += [[Patch(Site(1), ENDS, torch.zeros(3, 32), "add")]]
    out = patch_branches(lm, ROWS, branches, logits, tokens_per_forward=1000)
    assert torch.equal(out.patched[:, 0], out.patched[:, 2])


def test_bad_patches_are_named_before_any_forward(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, one = make_dictionary(1), torch.ones(3, 1)

    def run(patch: Patch) -> None:
        patch_branches(tiny_lm, ROWS, [[patch]], logits, tokens_per_forward=1000)

    monkeypatch.setattr(tiny_lm.decoder(), "forward", None)
    for make, message in (
        (lambda: set_features(book, [48], one, ENDS), "Feature 48 does not exist"),
        (lambda: set_features(book, [1, 2], one, ENDS), r"\[rows, 2\], one for each feature"),
        (lambda: scale_features(book, [1], float("inf"), ENDS), "a finite number"),
        (
            lambda: donor_features(book, [1], torch.zeros(3, 8), ENDS),
            r"donor's states are \[3, 8\]",
        ),
        (
            lambda: run(zero_features(make_dictionary(1, width=16), [1], ENDS)),
            "reads states of 16 numbers and .* has 32",
        ),
        (lambda: run(zero_features(make_dictionary(9), [1], ENDS)), "Layer 9 does not exist"),
        (lambda: run(set_features(book, [1], one[:2], ENDS[:2])), "one row a prompt"),
        (lambda: Patch(Site(1), ENDS, one, "computed"), "has an addition exactly when"),
        (
            lambda: engine("nnsight")(tiny_lm).patch(
                ROWS, [[zero_features(book, [1], ENDS)]], logits, tokens_per_forward=1000
            ),
            "does not compute features within a pass",
        ),
    ):
        with pytest.raises(WorkbenchError, match=message):
            make()
