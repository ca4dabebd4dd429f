from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.elicit.conversation import confidence_conversation, number_tokens, scale_tokens
from workbench.elicit.formats import Format, format_named
from workbench.elicit.readout import mass_on_scale, read_confidence
from workbench.elicit.scales import Scale
from workbench.elicit.trie import LEAST_LEFT, ScaleTrie, build_trie, cut_trie
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

MakeTiny = Callable[..., LanguageModel]
Path = tuple[int, ...]
VOCABULARY = 6
KINDS = ("digits", "whole_numbers", "merged_space")
PATHS = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple),
    min_size=1,
    max_size=12,
    unique=True,
)


def node_logits(trie: ScaleTrie, seed: int, extra: int = 0) -> torch.Tensor:
    """Random logits [2, inner nodes, vocabulary] in float64."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(
            (2, len(trie.inner), VOCABULARY + extra), generator=generator, dtype=torch.float64
        )
        * 2
    )


def by_definition(paths: Sequence[Path], logits: torch.Tensor, inner: Sequence[Path]) -> np.ndarray:
    """[rows, values] from the words of the definition alone."""
    table = dict(zip(inner, logits.softmax(dim=-1).numpy().swapaxes(0, 1), strict=True))
    out = []
    for path in paths:
        probability = np.ones(len(logits))
        for depth in range(len(path)):
            probability = probability * table[path[:depth]][:, path[depth]]
        continuing = {
            other[len(path)]
            for other in paths
            if len(other) > len(path) and other[: len(path)] == path
        }
        if continuing:
            probability = probability * (1 - table[path][:, sorted(continuing)].sum(axis=-1))
        out.append(probability)
    return np.stack(out, axis=-1)


def test_a_small_trie_by_hand() -> None:
    """Values 1, 10, 2 as digits: 1 ends unless a 0 follows; 2 ends whatever follows."""
    trie = build_trie([(1,), (1, 0), (2,)], [1, 10, 2])
    assert trie.inner == ((), (1,))
    assert trie.parent == (-1, 0)
    assert trie.children == ((1, 2), (0,))
    assert trie.scored_tokens == (1,)
    assert trie.tree.depths() == (1,)
    assert trie.tokens == (0, 1, 2)
    logits = torch.tensor([[0.1, 0.5, 0.25, 0.15], [0.3, 0.1, 0.2, 0.4]]).log()
    found = trie.distribution(trie.readout(logits))
    assert found == pytest.approx([0.5 * 0.7, 0.5 * 0.3, 0.25], abs=1e-7)


@given(paths=PATHS, seed=st.integers(0, 10_000))
def test_the_distribution_is_its_definition(paths: list[Path], seed: int) -> None:
    trie = build_trie(paths, range(len(paths)))
    logits = node_logits(trie, seed)
    found = trie.distribution(trie.readout(logits))
    assert found == pytest.approx(by_definition(paths, logits, trie.inner), abs=1e-6)
    assert (found >= 0).all()
    assert (mass_on_scale(found) <= 1 + 1e-6).all()


@given(paths=PATHS, seed=st.integers(0, 10_000))
def test_all_mass_is_on_the_scale_where_no_other_token_can_come(
    paths: list[Path], seed: int
) -> None:
    """With every token outside the trie ruled out at its node, the values share a probability of
    one.
    """
    trie = build_trie(paths, range(len(paths)))
    logits = node_logits(trie, seed)
    for node, (inner, children) in enumerate(zip(trie.inner, trie.children, strict=True)):
        if inner not in set(paths):
            outside = sorted(set(range(VOCABULARY)) - set(children))
            logits[:, node, outside] = -1e9
    found = trie.distribution(trie.readout(logits))
    assert mass_on_scale(found) == pytest.approx(1, abs=1e-6)


@given(paths=PATHS, seed=st.integers(0, 10_000))
def test_logarithms_are_those_of_the_distribution_in_either_precision(
    paths: list[Path], seed: int
) -> None:
    trie = build_trie(paths, range(len(paths)))
    logits = node_logits(trie, seed)
    expected = np.log(by_definition(paths, logits, trie.inner))
    found = trie.log_probabilities(logits)
    assert found.dtype == torch.float32
    assert found.numpy() == pytest.approx(expected, rel=1e-4, abs=1e-4)
    scores = logits.log_softmax(dim=-1)[..., list(trie.tokens)]
    wide = trie.log_probabilities_of(scores)
    assert wide.dtype == torch.float64
    assert wide.numpy() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(paths=PATHS, seed=st.integers(0, 10_000))
def test_gradients_are_those_of_small_steps(paths: list[Path], seed: int) -> None:
    trie = build_trie(paths, range(len(paths)))
    logits = node_logits(trie, seed)[0].requires_grad_()

    def read(logits: torch.Tensor) -> torch.Tensor:
        return trie.log_probabilities_of(logits.log_softmax(dim=-1)[..., list(trie.tokens)])

    assert torch.autograd.gradcheck(read, (logits,))


def test_what_is_no_value_is_one_more_outcome() -> None:
    """Token 0 ends "0"; token 1 begins "1" and, followed by 0, "10"; the rest of the mass is no
    number.
    """
    trie = build_trie([(0,), (1,), (1, 0)], (0, 1, 10))
    logits = torch.tensor([[[0.5, 0.3, 0.2], [0.25, 0.5, 0.25]]]).log()
    found = trie.log_probabilities_and_rest(logits).exp()
    assert found[0].tolist() == pytest.approx([0.5, 0.3 * 0.75, 0.3 * 0.25, 0.2], rel=1e-5)


def test_a_number_that_surely_goes_on_has_finite_values_and_gradients() -> None:
    """Nothing is left for "1" to end with, nor for what is no value: both are taken for a rounding
    of float32.
    """
    trie = build_trie([(0,), (1,), (1, 0)], (0, 1, 10))
    logits = torch.tensor([[[0.0, 60.0, 0.0], [60.0, 0.0, 0.0]]], requires_grad=True)
    found = trie.log_probabilities_and_rest(logits)
    assert found[0, 1:].exp().tolist() == pytest.approx([LEAST_LEFT, 1.0, LEAST_LEFT], rel=0.1)
    found.sum().backward()
    assert bool(torch.isfinite(found).all())
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_a_token_that_is_ruled_out_takes_its_values_with_it() -> None:
    trie = build_trie([(0,), (1,), (1, 0)], (0, 1, 10))
    logits = torch.tensor([[[0.5, 0.3, 0.2], [0.0, 0.5, 0.5]]]).log()
    found = trie.log_probabilities(logits).exp()
    assert found[0].tolist() == pytest.approx([0.5, 0.3, 0.0], rel=1e-5)


def test_greedy_decoding_ends_where_something_else_is_likelier() -> None:
    """Values 1, 5 and 15 (tokens 7 and 8): "1" may end or go on."""
    trie = build_trie([(7,), (8,), (7, 8)], (1, 5, 15))
    low = -9.0
    tables = [
        [[-1.0, -2.0], [low, -3.0]],
        [[-1.0, -2.0], [low, -1.0]],
        [[-2.0, -1.0], [low, -1.0]],
        [[-2.0, -2.0], [low, -1.0]],
    ]
    best = torch.full((4, 2), -1.0)
    found = trie.greedy_values(torch.tensor(tables), best)
    np.testing.assert_array_equal(found, [1.0, 15.0, 5.0, np.nan])
    assert trie.greedy_values(torch.tensor(tables[1]), best[1]) == 15.0


@given(paths=PATHS)
def test_nodes_are_the_proper_prefixes_and_see_their_own_prefixes(paths: list[Path]) -> None:
    trie = build_trie(paths, range(len(paths)))
    assert set(trie.inner) == {path[:depth] for path in paths for depth in range(len(path))}
    assert len(set(trie.inner)) == len(trie.inner)
    assert trie.inner[0] == ()
    for node, inner in enumerate(trie.inner[1:], start=1):
        assert trie.inner[trie.parent[node]] == inner[:-1]
        assert trie.parent[node] < node
    packed = trie.inner[1:]
    expected = [[query[: len(key)] == key for key in packed] for query in packed]
    assert trie.tree.ancestry().tolist() == expected
    for path, (steps, end) in zip(paths, trie.ends, strict=True):
        assert tuple(token for _, token in steps) == path
        assert [trie.inner[node] for node, _ in steps] == [
            path[:depth] for depth in range(len(path))
        ]
        assert trie.inner[end] == path if end >= 0 else path not in set(trie.inner)


@given(paths=PATHS, seed=st.integers(0, 1000))
def test_the_order_of_the_values_is_kept(paths: list[Path], seed: int) -> None:
    trie = build_trie(paths, range(len(paths)))
    backwards = build_trie(paths[::-1], range(len(paths)))
    scores = trie.readout(node_logits(trie, seed))
    assert trie.inner == backwards.inner
    assert backwards.distribution(scores)[:, ::-1] == pytest.approx(trie.distribution(scores))


@pytest.mark.parametrize(
    ("paths", "values"),
    [([(1,), (1,)], [0, 1]), ([(1,), ()], [0, 1]), ([(1,)], [0, 1]), ([(1,), (2,)], [0])],
)
def test_paths_must_be_distinct_one_a_value_and_not_empty(
    paths: list[Path], values: list[int]
) -> None:
    with pytest.raises(WorkbenchError, match="needs its own token path"):
        build_trie(paths, values)


def teacher_forced(lm: LanguageModel, tokens: Sequence[int], paths: Sequence[Path]) -> np.ndarray:
    """[values]: every number scored as its own string by the model's own forward."""
    out = np.empty(len(paths))
    for size in {len(path) for path in paths}:
        places = [place for place, path in enumerate(paths) if len(path) == size]
        with torch.no_grad():
            logits = lm.base()(
                input_ids=torch.tensor([[*tokens, *paths[place]] for place in places])
            ).logits
        for place, rows in zip(places, logits.double().softmax(dim=-1), strict=True):
            path = paths[place]
            steps = [
                float(rows[len(tokens) - 1 + depth, token]) for depth, token in enumerate(path)
            ]
            longer = {other[size] for other in paths if len(other) > size and other[:size] == path}
            out[place] = np.prod(steps) * (1 - float(rows[-1, sorted(longer)].sum()))
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_one_packed_forward_equals_scoring_every_string(make_tiny: MakeTiny, kind: str) -> None:
    lm = make_tiny("llama", tokenizer=kind)
    lm.base().double()
    fmt = format_named("percent")
    numbers = scale_tokens(lm.tokenizer, fmt)
    rows = [
        confidence_conversation(lm.tokenizer, fmt, numbers, question, answer)
        for question, answer in (("Who?", "Ada"), ("What is 48 + 37?", "85"))
    ]
    found = read_confidence(lm, rows, numbers).distribution
    paths = [number_tokens(numbers, value) for value in fmt.scale.values]
    for row, conversation in enumerate(rows):
        expected = teacher_forced(lm, conversation.tokens, paths)
        assert found[row] == pytest.approx(expected, abs=1e-7)
        assert found[row] == pytest.approx(expected, rel=1e-4)
        assert mass_on_scale(found)[row] == pytest.approx(expected.sum(), abs=1e-6)


@pytest.mark.parametrize("values", [(0, 1), tuple(range(0, 101, 5)), (7,), (3, 38, 380)])
def test_scales_of_other_values(make_tiny: MakeTiny, values: tuple[int, ...]) -> None:
    lm = make_tiny("llama")
    fmt = Format("other", "", "", "How sure?", "Sure:", " ", "", Scale(values, 1000))
    numbers = scale_tokens(lm.tokenizer, fmt)
    row = confidence_conversation(lm.tokenizer, fmt, numbers, "Who?", "Ada")
    found = read_confidence(lm, [row], numbers).distribution[0]
    paths = [number_tokens(numbers, value) for value in values]
    assert found == pytest.approx(teacher_forced(lm, row.tokens, paths), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(PATHS, st.integers(0, 1000))
def test_a_cut_trie_reads_what_is_left_as_before(paths: list[Path], seed: int) -> None:
    trie = build_trie(paths, [float(k) for k in range(len(paths))])
    wanted = [trie.values[seed % len(paths)]]
    small = cut_trie(trie, wanted)
    assert {*wanted} <= {*small.values} <= {*trie.values}
    logits = node_logits(trie, seed)
    kept = [trie.inner.index(path) for path in small.inner]
    columns = [trie.values.index(value) for value in small.values]
    torch.testing.assert_close(
        small.log_probabilities(logits[:, kept]), trie.log_probabilities(logits)[:, columns]
    )
    assert small.tree.size <= trie.tree.size


def test_a_trie_is_cut_to_the_nodes_its_values_need() -> None:
    trie = build_trie([(1,), (9, 0), (9, 5), (1, 0), (1, 0, 0)], [1.0, 90.0, 95.0, 10.0, 100.0])
    assert cut_trie(trie, [95.0]).inner == ((), (9,))
    assert cut_trie(trie, [95.0]).values == (90.0, 95.0)
    assert cut_trie(trie, [1.0]).values == (1.0,)
    assert cut_trie(trie, [100.0, 90.0]) == trie
