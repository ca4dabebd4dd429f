from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.elicit.conversation import confidence_conversation, number_tokens, scale_tokens
from workbench.elicit.formats import FORMATS, Format
from workbench.elicit.scales import PERCENT, Scale
from workbench.elicit.trie import build_trie
from workbench.errors import WorkbenchError
from workbench.models import render
from workbench.teach.examples import (
    ENDING,
    UNREACHED,
    Example,
    TokenTarget,
    _reached,
    distribution_examples,
    text_examples,
)
from workbench.trace.token_tree import NO_TREE as NOTHING
from workbench.trace.token_tree import TokenTree

MakeTokenizer = Callable[[str], Any]
KINDS = ("digits", "whole_numbers", "merged_space")
FORMAT = Format("test", "Be brief.", "Answer:", "How sure?", "Confidence:", " ", "%", PERCENT)
END = "<|im_end|>"
PATHS = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple),
    min_size=1,
    max_size=9,
    unique=True,
)


def examples_of(tokenizer: Any, fmt: Format, targets: Sequence[float]) -> list[Example]:
    numbers = scale_tokens(tokenizer, fmt)
    rows = [
        confidence_conversation(tokenizer, fmt, numbers, "Who?", "Ada" * i)
        for i, _ in enumerate(targets)
    ]
    return text_examples(tokenizer, fmt, numbers, rows, targets)


def written(example: Example) -> tuple[int, ...]:
    """The target tokens of an example that is a chain of sure tokens, equally weighted."""
    tokens = tuple(place.tokens[0] for place in example.places)
    assert example.tree == TokenTree(tokens[:-1], tuple(range(-1, len(tokens) - 2)))
    for place in example.places:
        assert (place.weight, place.probabilities, place.ends) == (
            pytest.approx(1 / len(tokens)),
            (1.0,),
            0.0,
        )
    return tokens


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_of_the_whole_string(make_tokenizer: MakeTokenizer, kind: str) -> None:
    tokenizer = make_tokenizer(kind)
    targets = [73, 0, 100, 9, 10]
    for i, (example, target) in enumerate(
        zip(examples_of(tokenizer, FORMAT, targets), targets, strict=True)
    ):
        text = render(
            tokenizer, FORMAT.confidence_turns("Who?", "Ada" * i), f"Confidence: {target}%{END}"
        )
        assert [*example.prompt, *written(example)] == tokenizer(text, add_special_tokens=False)[
            "input_ids"
        ]
        said = tokenizer.decode(written(example))
        assert said.strip() == f"{target}%{END}"
        assert tokenizer.decode(example.prompt).endswith(
            "Confidence:" if said.startswith(" ") else "Confidence: "
        )


@pytest.mark.parametrize(
    ("closing", "end"),
    [
        ("{{ '<|im_end|>\n' }}", 2),
        ("{{ ' <|im_end|>' }}", 2),
        ("{{ '\n<|endoftext|>' }}", 0),
        ("{{ '\n\n' }}", 2),
        ("", 2),
    ],
)
def test_a_target_ends_with_the_templates_end_of_turn(
    make_tokenizer: MakeTokenizer, closing: str, end: int
) -> None:
    """Without one in the template, with the tokenizer's end token."""
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = (
        "{% for message in messages %}{{ '[' + message['role'] + ']' + message['content'] }}"
        + closing
        + "{% endfor %}[assistant]"
    )
    (example,) = examples_of(tokenizer, replace(FORMAT, system=""), [73])
    assert written(example)[-1] == end
    assert tokenizer.decode(written(example)[:-1]) == "73%"


def test_a_scale_without_ending(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    fmt = replace(FORMAT, ending="", scale=Scale(tuple(range(10)), 9))
    (example,) = examples_of(tokenizer, fmt, [7])
    assert tokenizer.decode(written(example)) == f"7{END}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("probability", 0.29, "0.29"), ("words", 3, "Moderately certain"), ("yes-no", 1, "Yes")],
)
def test_a_target_is_written_as_its_scale_writes_it(
    make_tokenizer: MakeTokenizer, kind: str, name: str, value: float, text: str
) -> None:
    (example,) = examples_of(make_tokenizer(kind), FORMATS[name], [value])
    assert make_tokenizer(kind).decode(written(example)).strip() == f"{text}{END}"


def test_an_ending_that_merges_with_the_number_is_refused(make_tokenizer: MakeTokenizer) -> None:
    fmt = replace(FORMAT, ending="0", scale=Scale((0, 10), 10))
    with pytest.raises(WorkbenchError, match="merges the number with the ending '0'"):
        examples_of(make_tokenizer("whole_numbers"), fmt, [10])


def test_a_target_outside_the_scale_is_refused(make_tokenizer: MakeTokenizer) -> None:
    with pytest.raises(ValueError, match=r"."):
        examples_of(make_tokenizer("digits"), FORMAT, [101])


@pytest.mark.parametrize(
    ("prompt", "tree", "places"), [((), NOTHING, 1), ((1,), NOTHING, 0), ((1,), NOTHING, 2)]
)
def test_an_example_needs_a_prompt_and_a_target_at_every_place(
    prompt: tuple[int, ...], tree: TokenTree, places: int
) -> None:
    with pytest.raises(WorkbenchError, match="needs prompt tokens and a target"):
        Example(prompt, tree, (TokenTarget(1.0, (3,), (1.0,)),) * places)


@pytest.mark.parametrize(
    ("probabilities", "ends"),
    [((0.5,), 0.0), ((0.6, 0.6), 0.0), ((0.5, 0.5), 0.1), ((float("nan"), 0.5), 0.0)],
)
def test_a_place_needs_probabilities_that_sum_to_one(
    probabilities: tuple[float, ...], ends: float
) -> None:
    with pytest.raises(WorkbenchError, match="sum to 1"):
        TokenTarget(1.0, tuple(range(len(probabilities))), probabilities, ends)
    with pytest.raises(WorkbenchError, match="sum to 1"):
        TokenTarget(1.0, (1, 2), (1.0,), 0.0)


def test_a_distribution_by_hand() -> None:
    """Values 1, 10, 2, 30 as digits; a node that the distribution does not length is left out."""
    trie = build_trie([(1,), (1, 0), (2,), (3, 0)], [1, 10, 2, 30])
    tree, places = _reached(trie, np.array([0.3, 0.1, 0.6, 0.0]))
    assert tree == TokenTree((1,), (-1,))
    assert places[0].tokens == (1, 2, 3)
    assert places[0].probabilities == pytest.approx((0.4, 0.6, 0.0))
    assert (places[0].weight, places[0].ends) == (pytest.approx(1), 0)
    assert (places[1].tokens, places[1].weight) == ((0,), pytest.approx(0.4))
    assert (places[1].probabilities[0], places[1].ends) == (
        pytest.approx(0.25),
        pytest.approx(0.75),
    )


@given(paths=PATHS, seed=st.integers(0, 10_000), peak=st.floats(0.1, 8))
def test_places_are_the_conditional_probabilities_of_the_nodes_reached(
    paths: list[tuple[int, ...]], seed: int, peak: float
) -> None:
    trie = build_trie(paths, range(len(paths)))
    target = np.exp(peak * np.random.default_rng(seed).standard_normal(len(paths)))
    target /= target.sum()
    tree, places = _reached(trie, target)
    kept = [()] + [tuple(tree.tokens[node] for node in tree.path(k)) for k in range(tree.size)]
    length = {
        inner: target[[p[: len(inner)] == inner for p in paths]].sum() for inner in trie.inner
    }
    assert set(kept) == {()} | {inner for inner in trie.inner if length[inner] > UNREACHED}
    for inner, place in zip(kept, places, strict=True):
        assert place.weight == pytest.approx(length[inner])
        assert place.tokens == trie.children[trie.inner.index(inner)]
        ends = sum(q for q, path in zip(target, paths, strict=True) if path == inner)
        assert place.ends * place.weight == pytest.approx(ends, abs=1e-12)
        for token, probability in zip(place.tokens, place.probabilities, strict=True):
            after = target[[p[: len(inner) + 1] == (*inner, token) for p in paths]].sum()
            assert probability * place.weight == pytest.approx(after, abs=1e-12)


def test_one_example_a_conversation(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    numbers = scale_tokens(tokenizer, FORMAT)
    rows = [
        confidence_conversation(tokenizer, FORMAT, numbers, q, "Ada")
        for q in ("Who?", "And who else?")
    ]
    sure = np.zeros((2, 101))
    sure[[0, 1], [73, 100]] = 1
    percent, end = tokenizer.convert_tokens_to_ids(["%", END])
    examples = distribution_examples(tokenizer, FORMAT, numbers, rows, sure)
    for example, row, value in zip(examples, rows, (73, 100), strict=True):
        assert example.prompt == row.tokens
        path = number_tokens(numbers, value)
        assert example.tree.tokens == (*path, percent)
        for place, token in zip(example.places, path, strict=False):
            assert dict(zip(place.tokens, place.probabilities, strict=True))[token] == 1
        assert example.places[-2:] == (
            TokenTarget(ENDING, (percent,), (1.0,)),
            TokenTarget(ENDING, (end,), (1.0,)),
        )
    with pytest.raises(ValueError, match="zip"):
        distribution_examples(tokenizer, FORMAT, numbers, rows, sure[:1])


def test_an_ending_stands_behind_the_likeliest_value_alone(make_tokenizer: MakeTokenizer) -> None:
    """Behind 7, whose own place already says what may follow, there is none; behind 73 it hangs
    on the right 3.
    """
    tokenizer = make_tokenizer("digits")
    numbers = scale_tokens(tokenizer, FORMAT)
    row = confidence_conversation(tokenizer, FORMAT, numbers, "Who?", "Ada")
    targets = np.zeros((2, 101))
    targets[0, [7, 73]] = 0.6, 0.4
    targets[1, [33, 73]] = 0.4, 0.6
    single, double = distribution_examples(tokenizer, FORMAT, numbers, [row, row], targets)
    three, seven, percent = tokenizer.convert_tokens_to_ids(["3", "7", "%"])
    assert single.tree == TokenTree((seven,), (-1,))
    assert double.tree == TokenTree((three, seven, three, percent), (-1, -1, 1, 2))
