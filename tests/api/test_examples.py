from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.api.examples import (
    CircuitPairs,
    capital_pairs,
    greater_than_pairs,
    indirect_object_pairs,
    keep_single_tokens,
    later_minus_earlier,
)
from workbench.api.positions import find_places
from workbench.api.prompts import encode_prompts
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

MakeTiny = Callable[..., LanguageModel]


def pairs_of(name: str, tokenizer: Any) -> CircuitPairs:
    if name == "years":
        return greater_than_pairs(tokenizer)
    return capital_pairs() if name == "capitals" else indirect_object_pairs()


@pytest.mark.parametrize("name", ["names", "capitals", "years"])
@pytest.mark.parametrize("tokenizer", ["digits", "merged_space"])
def test_every_place_is_found_in_prompt_and_donor(
    make_tiny: MakeTiny, name: str, tokenizer: str
) -> None:
    """At least 32 different pairs, aligned by spans that end in the same piece of text."""
    lm = make_tiny("llama", tokenizer=tokenizer)
    pairs = pairs_of(name, lm.tokenizer)
    assert len(pairs) == 64
    assert len(set(pairs.prompts)) >= 32
    assert all(prompt != donor for prompt, donor in zip(pairs.prompts, pairs.donors, strict=True))
    base, donor = (encode_prompts(lm, list(texts)) for texts in (pairs.prompts, pairs.donors))
    places = find_places(pairs.at, base, donor)
    assert places.labels == tuple(pairs.at)
    for row in range(len(pairs)):
        for place, spans in enumerate(pairs.at.values()):
            if spans == "last":
                assert places.base[row, place] == base.lengths[row] - 1
                continue
            for tokens, at, texts in (
                (base, places.base, spans[0]),
                (donor, places.donor, spans[1]),
            ):
                end = "".join(tokens.pieces[row][: int(at[row, place]) + 1])
                assert end.endswith(texts[row][-1])
                assert texts[row] in end


def test_the_names_of_a_pair_are_as_many_tokens(make_tiny: MakeTiny) -> None:
    """Where names are one token, or as many: the two prompts hold the same three names but one."""
    lm = make_tiny("llama")
    pairs = indirect_object_pairs()
    for prompt, donor, (own, other) in zip(pairs.prompts, pairs.donors, pairs.read, strict=True):
        counts = [len(lm.tokenizer(text)["input_ids"]) for text in (prompt, donor)]
        names = [len(lm.tokenizer(name)["input_ids"]) for name in (own, other)]
        assert counts[0] - counts[1] == names[1] - names[0]
        assert prompt.count(own.strip()) == 1
        assert prompt.count(other.strip()) == 2
        assert donor.count(own.strip()) == 2


def test_capitals_are_those_of_their_countries() -> None:
    pairs = capital_pairs(200)
    found = dict(zip(pairs.prompts, pairs.read, strict=True))
    known = {"France": " Paris", "Italy": " Rome", "Japan": " Tokyo", "Egypt": " Cairo"}
    some = {name: found.get(f"The capital of {name} is") for name in known}
    assert all(read is None or read[0] == known[name] for name, read in some.items())
    assert any(some.values())


def test_years_are_read_by_their_tens_digit(make_tiny: MakeTiny) -> None:
    """By hand: logits that put 0.5 on 7, 0.3 on 2 and 0.2 on 5 read 0.5 - 0.3."""
    lm = make_tiny("llama", tokenizer="digits")
    pairs = greater_than_pairs(lm.tokenizer)
    digit = {n: lm.tokenizer(str(n))["input_ids"][0] for n in range(10)}
    logits = torch.full((2, 384), -1e9)
    for n, share in ((7, 0.5), (2, 0.3), (5, 0.2)):
        logits[0, digit[n]] = torch.tensor(share).log()
    logits[1, digit[0]] = 0.0
    assert callable(pairs.read)
    assert pairs.read(logits).tolist() == pytest.approx([0.2, -1.0])
    for prompt, donor in zip(pairs.prompts, pairs.donors, strict=True):
        assert len(prompt) == len(donor)
        assert int(prompt.split()[6]) - int(donor.split()[6]) == 50


def test_a_tokenizer_that_merges_the_century_is_refused(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama", tokenizer="whole_numbers")
    with pytest.raises(WorkbenchError, match="single digits or pairs"):
        later_minus_earlier(lm.tokenizer, "to the year 1")


@pytest.mark.parametrize("name", ["names", "capitals", "years"])
def test_whatever_stands_before_the_first_place_is_alike_in_both_runs(
    make_tiny: MakeTiny, name: str
) -> None:
    """And at the first place the two differ, with one token for each digit and letter."""
    lm = make_tiny("llama", tokenizer="digits")
    pairs = pairs_of(name, lm.tokenizer)
    base, donor = (encode_prompts(lm, list(texts)) for texts in (pairs.prompts, pairs.donors))
    places = find_places(pairs.at, base, donor)
    for row in range(len(pairs)):
        own, other = int(places.base[row, 0]), int(places.donor[row, 0])
        shorter = min(own, other) + 1
        assert base.rows[row][: own + 1] != donor.rows[row][: other + 1]
        if name == "years":
            assert own == other
            assert base.rows[row][:own] == donor.rows[row][:own]
            assert base.rows[row][own + 1 :] == donor.rows[row][own + 1 :]
        else:
            text = "".join(base.pieces[row][:shorter]), "".join(donor.pieces[row][:shorter])
            start = ", " if name == "names" else "of "
            assert text[0].rpartition(start)[0] == text[1].rpartition(start)[0]


def test_pairs_that_are_exchanged_are_the_same_patch_the_other_way() -> None:
    pairs = capital_pairs(8)
    turned = pairs.exchanged
    assert (turned.prompts, turned.donors) == (pairs.donors, pairs.prompts)
    assert turned.read == pairs.read
    assert turned.at["subject"] == (pairs.at["subject"][1], pairs.at["subject"][0])
    assert turned.exchanged == pairs


def test_a_pair_that_was_drawn_twice_is_kept_once(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    pairs = CircuitPairs(("a", "a", "a"), ("d", "d", "e"), [("x", "y")] * 3, {"last": "last"})
    assert keep_single_tokens(pairs, lm.tokenizer, 2).donors == ("d", "e")


def test_answers_of_several_tokens_are_left_out(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    pairs = CircuitPairs(
        ("a", "b", "c"),
        ("d", "e", "f"),
        [("x", "y"), ("xy", "z"), ("v", "w")],
        {"letter": (["a", "b", "c"], ["d", "e", "f"]), "last": "last"},
    )
    kept = keep_single_tokens(pairs, lm.tokenizer, 2)
    assert kept.prompts == ("a", "c")
    assert kept.read == [("x", "y"), ("v", "w")]
    assert kept.at == {"letter": (["a", "c"], ["d", "f"]), "last": "last"}
    with pytest.raises(WorkbenchError, match="2 of 3 pairs differ"):
        keep_single_tokens(pairs, lm.tokenizer, 3)
