from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.elicit.conversation import confidence_conversation, number_prefix
from workbench.elicit.formats import PERCENT, Format, Scale
from workbench.errors import WorkbenchError
from workbench.models import render
from workbench.teach.examples import IGNORED, Example, build_examples, collate

MakeTokenizer = Callable[[str], Any]
KINDS = ("digits", "whole_numbers", "merged_space")
FORMAT = Format("test", "Be brief.", "Answer:", "How sure?", "Confidence:", " ", "%", PERCENT)
END = "<|im_end|>"


def examples_of(tokenizer: Any, fmt: Format, targets: list[int]) -> list[Example]:
    numbers = number_prefix(tokenizer, fmt)
    rows = [confidence_conversation(tokenizer, fmt, numbers, "Who?", "Ada" * i) for i, _ in enumerate(targets)]
    return build_examples(tokenizer, fmt, numbers, rows, targets)


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_of_the_whole_string(make_tokenizer: MakeTokenizer, kind: str) -> None:
    tokenizer = make_tokenizer(kind)
    targets = [73, 0, 100, 9, 10]
    for i, (example, target) in enumerate(zip(examples_of(tokenizer, FORMAT, targets), targets, strict=True)):
        text = render(tokenizer, FORMAT.confidence_turns("Who?", "Ada" * i), f"Confidence: {target}%{END}")
        assert [*example.prompt, *example.target] == tokenizer(text, add_special_tokens=False)["input_ids"]
        said = tokenizer.decode(example.target)
        assert said.strip() == f"{target}%{END}"
        assert tokenizer.decode(example.prompt).endswith("Confidence:" if said.startswith(" ") else "Confidence: ")


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
def test_a_target_ends_with_the_templates_end_of_turn(make_tokenizer: MakeTokenizer, closing: str, end: int) -> None:
    """Without one in the template, with the tokenizer's end token."""
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = (
        "{% for message in messages %}{{ '[' + message['role'] + ']' + message['content'] }}"
        + closing
        + "{% endfor %}[assistant]"
    )
    (example,) = examples_of(tokenizer, replace(FORMAT, system=""), [73])
    assert example.target[-1] == end
    assert tokenizer.decode(example.target[:-1]) == "73%"


def test_a_scale_without_ending(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    fmt = replace(FORMAT, ending="", scale=Scale(tuple(range(10)), 9))
    (example,) = examples_of(tokenizer, fmt, [7])
    assert tokenizer.decode(example.target) == f"7{END}"


def test_an_ending_that_merges_with_the_number_is_refused(make_tokenizer: MakeTokenizer) -> None:
    fmt = replace(FORMAT, ending="0", scale=Scale((0, 10), 10))
    with pytest.raises(WorkbenchError, match="merges the number with the ending '0'"):
        examples_of(make_tokenizer("whole_numbers"), fmt, [10])


def test_a_target_outside_the_scale_is_refused(make_tokenizer: MakeTokenizer) -> None:
    with pytest.raises(ValueError, match=r"."):
        examples_of(make_tokenizer("digits"), FORMAT, [101])


@pytest.mark.parametrize(("prompt", "target"), [((), (1,)), ((1,), ())])
def test_empty_examples_are_refused(prompt: tuple[int, ...], target: tuple[int, ...]) -> None:
    with pytest.raises(WorkbenchError, match="needs prompt and target"):
        Example(prompt, target)


def test_a_batch_by_hand() -> None:
    """The last target token is predicted, never read; labels stand under the columns that predict them."""
    batch = collate([Example((5, 6, 7), (1, 2, 3)), Example((8,), (4, 9))], pad_token=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 1, 2], [0, 0, 0, 8, 4]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [0, 0, 0, 1, 1]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4], [0, 0, 0, 0, 1]]
    assert batch["labels"].tolist() == [[1, 2, 3], [IGNORED, 4, 9]]


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(1, 9), min_size=1, max_size=8), st.lists(st.integers(1, 9), min_size=1, max_size=4)
        ),
        min_size=1,
        max_size=6,
    )
)
def test_every_label_stands_under_the_tokens_before_it(pairs: list[tuple[list[int], list[int]]]) -> None:
    batch = collate([Example(tuple(prompt), tuple(target)) for prompt, target in pairs], pad_token=0)
    columns, kept = batch["input_ids"].shape[1], batch["labels"].shape[1]
    assert int((batch["labels"] != IGNORED).sum()) == sum(len(target) for _, target in pairs)
    for row, (prompt, target) in enumerate(pairs):
        valid = batch["attention_mask"][row].bool()
        assert batch["input_ids"][row][valid].tolist() == prompt + target[:-1]
        assert batch["position_ids"][row][valid].tolist() == list(range(len(prompt) + len(target) - 1))
        for place in torch.nonzero(batch["labels"][row] != IGNORED)[:, 0].tolist():
            column = columns - kept + place
            before = batch["input_ids"][row][: column + 1][valid[: column + 1]].tolist()
            assert (prompt + target)[: len(before)] == before
            assert (prompt + target)[len(before)] == int(batch["labels"][row, place])
