from __future__ import annotations

from typing import Any

import pytest

from workbench.api.positions import find_places
from workbench.api.prompts import PromptTokens, encode_prompts
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

CAT, DOGGY = "What is the cat", "What is the doggy"
"""Seven tokens and nine: every letter behind " the" is one."""


@pytest.fixture
def pair(tiny_lm: LanguageModel) -> tuple[PromptTokens, PromptTokens]:
    return encode_prompts(tiny_lm, CAT), encode_prompts(tiny_lm, DOGGY)


def columns(at: Any, base: PromptTokens, donor: PromptTokens | None) -> tuple[Any, Any]:
    found = find_places(at, base, donor)
    return found.base.tolist(), found.donor.tolist()


def test_places_of_one_prompt(pair: tuple[PromptTokens, PromptTokens]) -> None:
    cat, _ = pair
    assert columns("last", cat, None) == ([[6]], [[6]])
    assert columns(2, cat, None) == ([[2]], [[2]])
    assert columns(-2, cat, None) == ([[5]], [[5]])
    assert columns("the", cat, None) == ([[2]], [[2]])
    assert columns("the c", cat, None)[0] == [[4]]
    assert columns(["What", 1, "last"], cat, None)[0] == [[0, 1, 6]]
    assert find_places(["What", 1], cat, None).labels == ("What", "1")


def test_different_lengths_are_aligned_by_name(pair: tuple[PromptTokens, PromptTokens]) -> None:
    cat, doggy = pair
    assert columns("last", cat, doggy) == ([[6]], [[8]])
    assert columns(" the", cat, doggy) == ([[2]], [[2]])
    assert columns({"animal": ("cat", "doggy")}, cat, doggy) == ([[6]], [[8]])
    found = find_places({"animal": ("ca", "dog"), "end": "last"}, cat, doggy)
    assert found.labels == ("animal", "end")
    assert found.base.tolist() == [[5, 6]]
    assert found.donor.tolist() == [[6, 8]]


def test_each_prompt_may_have_a_text_of_its_own(tiny_lm: LanguageModel) -> None:
    base = encode_prompts(tiny_lm, ["What is the cat", "What is the horse"])
    donor = encode_prompts(tiny_lm, ["What is the cow", "the hen"])
    found = columns({"animal": (["cat", "horse"], ["cow", "hen"])}, base, donor)
    assert found == ([[6], [8]], [[6], [6]])


def test_a_donor_of_as_many_tokens_is_read_at_the_same_index(tiny_lm: LanguageModel) -> None:
    base, donor = (encode_prompts(tiny_lm, text) for text in (CAT, "What is the dog"))
    assert columns("cat", base, donor) == ([[6]], [[6]])
    moved = encode_prompts(tiny_lm, "cat the is What")
    assert columns("cat", base, moved)[1] == [[2]]


def test_every_token_is_labelled_by_its_text(tiny_lm: LanguageModel) -> None:
    base = encode_prompts(tiny_lm, [CAT, "What is the dog"])
    found = find_places("all", base, None)
    assert found.labels == ("0 What", "1 is", "2 the", "3 ␣", "4 c / +1", "5 a / +1", "6 t / +1")
    assert found.base.tolist() == [list(range(7))] * 2


@pytest.mark.parametrize("at", ["all", 3, -1, ["last", 2]])
def test_an_index_never_aligns_prompts_of_different_length(
    pair: tuple[PromptTokens, PromptTokens], at: Any
) -> None:
    with pytest.raises(
        WorkbenchError, match=r"has 7 tokens .'What' ' is'.*donor 9.*name the place"
    ):
        find_places(at, *pair)


def test_a_text_the_longer_donor_lacks_is_not_aligned(
    pair: tuple[PromptTokens, PromptTokens],
) -> None:
    with pytest.raises(WorkbenchError, match="an index means another place in each"):
        find_places("cat", *pair)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("cow", "'cow' does not occur in prompt 0, whose tokens are 'What' ' is' ' the'"),
        ("t", "'t' occurs 3 times in prompt 0.*give more of the text"),
        ("", "'' does not occur"),
        (7, "Position 7 lies outside prompt 0, which has 7 tokens"),
        (-8, "Position -8 lies outside"),
        ([], "Name at least one place"),
        (["last", "last"], "Every place is named once"),
        (2.5, "A place is 'last', an index or a text"),
        ({"x": ("a", "b", "c")}, "or a pair of texts"),
        ({"x": ["cat", "cat"]}, "A place names 2 texts for 1 prompts"),
    ],
)
def test_a_place_that_is_none_is_refused(
    pair: tuple[PromptTokens, PromptTokens], at: Any, said: str
) -> None:
    with pytest.raises(WorkbenchError, match=said):
        find_places(at, pair[0], None)


def test_prompts_of_different_length_have_no_common_axis(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="The prompts have 7 to 9 tokens"):
        find_places("all", encode_prompts(tiny_lm, [CAT, DOGGY]), None)
