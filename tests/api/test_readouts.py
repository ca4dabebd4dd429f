from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from workbench.api.prompts import encode_prompts
from workbench.api.readouts import readout_of
from workbench.elicit.conversation import scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.elicit.readout import expected_confidence
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

PROMPTS = ["What is the cat", "What is the doggy"]


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(2, 384, generator=torch.Generator().manual_seed(3))


def value(lm: LanguageModel, read: Any, logits: torch.Tensor) -> list[float]:
    readout = readout_of(lm, read, encode_prompts(lm, PROMPTS))
    return readout.value(readout.reduce(logits)).tolist()


def token(lm: LanguageModel, text: str) -> int:
    (only,) = lm.tokenizer(text)["input_ids"]
    return int(only)


def test_two_strings_are_a_logit_difference(tiny_lm: LanguageModel, logits: torch.Tensor) -> None:
    x, y = token(tiny_lm, "x"), token(tiny_lm, " the")
    wanted = (logits[:, x] - logits[:, y]).tolist()
    assert value(tiny_lm, ("x", " the"), logits) == pytest.approx(wanted)


def test_one_string_is_a_log_probability(tiny_lm: LanguageModel, logits: torch.Tensor) -> None:
    wanted = logits.log_softmax(dim=-1)[:, token(tiny_lm, "x")].tolist()
    assert value(tiny_lm, "x", logits) == pytest.approx(wanted, abs=1e-6)


def test_each_prompt_may_have_answers_of_its_own(
    tiny_lm: LanguageModel, logits: torch.Tensor
) -> None:
    x, y, z = (token(tiny_lm, text) for text in "xyz")
    found = value(tiny_lm, [("x", "y"), ("z", "x")], logits)
    assert found == pytest.approx(
        [float(logits[0, x] - logits[0, y]), float(logits[1, z] - logits[1, x])]
    )
    readout = readout_of(tiny_lm, [("x", "y"), ("z", "x")], encode_prompts(tiny_lm, PROMPTS))
    assert readout.tokens is not None
    assert readout.tokens.tolist() == [[x, y], [z, x]]


def test_a_function_reads_logits(tiny_lm: LanguageModel, logits: torch.Tensor) -> None:
    def entropy(rows: torch.Tensor) -> torch.Tensor:
        return -(rows.softmax(-1) * rows.log_softmax(-1)).sum(-1)

    readout = readout_of(tiny_lm, entropy, encode_prompts(tiny_lm, PROMPTS))
    assert readout.label == "entropy"
    assert value(tiny_lm, entropy, logits) == pytest.approx(entropy(logits).tolist())
    with pytest.raises(WorkbenchError, match="gives one number a row"):
        value(tiny_lm, lambda rows: rows[:, :2], logits)


def test_a_format_is_the_expected_confidence(tiny_lm: LanguageModel) -> None:
    fmt = FORMATS["percent"]
    numbers = scale_tokens(tiny_lm.tokenizer, fmt)
    prompts = encode_prompts(tiny_lm, PROMPTS)
    readout = readout_of(tiny_lm, fmt, prompts)
    nodes = 1 + numbers.trie.tree.size
    logits = torch.randn(2, nodes, 384, generator=torch.Generator().manual_seed(1))
    scores = numbers.trie.readout(logits.flatten(0, 1)).unflatten(0, (2, nodes))
    wanted = expected_confidence(
        numbers.trie.distribution(scores), fmt.scale.values, fmt.scale.certain
    )
    reduced = readout.reduce(logits.flatten(0, 1)).unflatten(0, (2, nodes))
    assert readout.tree == numbers.trie.tree
    assert readout.value(reduced).numpy() == pytest.approx(np.asarray(wanted))
    assert readout_of(tiny_lm, numbers, prompts).label == "expected confidence"


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ("cat", r"read='cat' is 3 tokens of this tokenizer \('c' 'a' 't'\).*such as 'c'"),
        (("x", "dog"), "read='dog' is 3 tokens"),
        ("", "read='' is 0 tokens.*give some text"),
        (("x", "x"), "which are one token"),
        (("x", "y", "z"), "one string or two"),
        (["x", "y", "z"], "read lists 3 answers for 2 prompts"),
        (["x", ("x", "y")], "two strings for every prompt, or one"),
        (7, "read is two strings"),
    ],
)
def test_what_cannot_be_read_is_refused(tiny_lm: LanguageModel, read: Any, said: str) -> None:
    with pytest.raises(WorkbenchError, match=said):
        readout_of(tiny_lm, read, encode_prompts(tiny_lm, PROMPTS))
