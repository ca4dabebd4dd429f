from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.nn import functional

import workbench.teach.examples
from workbench.config import LoraSettings
from workbench.elicit.conversation import (
    Conversation,
    NumberPrefix,
    before_reply,
    confidence_conversation,
    number_prefix,
    reply_tokens,
)
from workbench.elicit.formats import Format
from workbench.elicit.scales import PERCENT
from workbench.elicit.trie import child_log_probabilities, distribution
from workbench.models import LanguageModel
from workbench.teach.adapter import add_adapter
from workbench.teach.batch import Targets, batch_targets, inputs_of, trees
from workbench.teach.examples import Example, Place, distribution_examples, text_examples
from workbench.teach.targets import spread_targets
from workbench.trace.continuation import Continuation
from workbench.trace.layout import pad_prompts
from workbench.trace.prefixes import Prefixes

MakeTiny = Callable[..., LanguageModel]
FORMAT = Format("short", "", "A:", "Sure?", "C:", " ", "%", PERCENT)
KINDS = ("digits", "whole_numbers", "merged_space")
WINDOW = {"sliding_window": 24, "layer_types": ["sliding_attention", "full_attention"] * 2}
FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("mistral", {"sliding_window": 24}),
    ("gemma2", WINDOW),
    ("gemma3_text", WINDOW),
    ("gpt2", {}),
    ("gpt_neox", {}),
    ("cohere2", {**WINDOW, "logit_scale": 1.0}),
    ("granite", {}),
]
PROBABILITIES = np.resize([0.73, 0.0, 1.0, 0.095, 0.5], 50)
MODULES = ("q_proj", "v_proj", "down_proj")


def rows_of(lm: LanguageModel) -> tuple[list[Conversation], NumberPrefix]:
    """Five conversations of unequal length."""
    numbers = number_prefix(lm.tokenizer, FORMAT)
    return [
        confidence_conversation(lm.tokenizer, FORMAT, numbers, f"What is {i}{' and x' * (i % 3)}?", str(i))
        for i in range(5)
    ], numbers


def spread_of(lm: LanguageModel) -> np.ndarray:
    return spread_targets(PROBABILITIES, PERCENT, 0.06)[:5]


def last_logits(model: Any, tokens: Sequence[int]) -> Tensor:
    return model(input_ids=torch.tensor([tokens])).logits[0, -1]


def cross_entropies(lm: LanguageModel) -> list[float]:
    """-sum q log P of each row, P from every inner node of the whole trie as an unpadded string."""
    rows, numbers = rows_of(lm)
    trie, out = numbers.trie, []
    for row, target in zip(rows, spread_of(lm), strict=True):
        with torch.no_grad():
            logits = torch.stack([last_logits(lm.base(), (*row.tokens, *path)) for path in trie.inner])
        found = distribution(trie, child_log_probabilities(trie, logits.double()).numpy())
        out.append(float(-(target * np.log(found)).sum()))
    return out


def loss_of(
    lm: LanguageModel, examples: Sequence[Example], rows: Sequence[Conversation], numbers: NumberPrefix, scope: str
) -> Tensor:
    if scope == "conversation":
        inputs = inputs_of(lm, examples, None, ())
    else:
        reply = reply_tokens(lm.tokenizer, FORMAT, numbers)
        before = [before_reply(row, reply) for row in rows]
        kept = Prefixes(0, 10**6, None).kept(lm, np.arange(len(rows)), before)
        inputs = inputs_of(lm, examples, kept, reply)
    return batch_targets(examples, lm.device).loss(lm.model(**inputs).logits)


CASES = [(family, overrides, "digits") for family, overrides in FAMILIES]
CASES += [("llama", {}, kind) for kind in KINDS[1:]] + [("gemma3_text", WINDOW, kind) for kind in KINDS[1:]]


@pytest.mark.parametrize("scope", ["conversation", "reply"])
@pytest.mark.parametrize(("family", "overrides", "kind"), CASES)
@pytest.mark.filterwarnings("ignore:Keys and values of")
def test_the_loss_of_a_distribution_is_its_cross_entropy_over_the_scale(
    make_tiny: MakeTiny,
    family: str,
    overrides: dict[str, Any],
    kind: str,
    scope: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With every node reached, exactly; as it is, without what stands at the nodes left out. Endings weigh nothing here."""
    monkeypatch.setattr(workbench.teach.examples, "ENDING", 0.0)
    lm = make_tiny(family, tokenizer=kind, **overrides)
    rows, numbers = rows_of(lm)
    expected = np.mean(cross_entropies(lm))
    with torch.no_grad():
        short = distribution_examples(lm.tokenizer, FORMAT, numbers, rows, spread_of(lm))
        found = float(loss_of(lm, short, rows, numbers, scope))
        monkeypatch.setattr(workbench.teach.examples, "UNREACHED", 0.0)
        whole = distribution_examples(lm.tokenizer, FORMAT, numbers, rows, spread_of(lm))
        assert float(loss_of(lm, whole, rows, numbers, scope)) == pytest.approx(expected, rel=1e-5)
    dropped = max(len(w.places) - len(s.places) for w, s in zip(whole, short, strict=True)) * 1e-3
    assert expected - 20 * dropped - 1e-4 <= found <= expected * (1 + 1e-5)


@pytest.mark.parametrize("scope", ["conversation", "reply"])
@pytest.mark.parametrize(("family", "overrides"), FAMILIES[:4])
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_a_text_is_plain_cross_entropy(
    make_tiny: MakeTiny, family: str, overrides: dict[str, Any], kind: str, scope: str
) -> None:
    """The mean over each row's tokens, from one plain forward of the row's own string; then over rows."""
    lm = make_tiny(family, tokenizer=kind, **overrides)
    rows, numbers = rows_of(lm)
    examples = text_examples(lm.tokenizer, FORMAT, numbers, rows, [73, 0, 100, 9, 10])
    each = []
    for example in examples:
        target = [place.tokens[0] for place in example.places]
        with torch.no_grad():
            logits = lm.base()(input_ids=torch.tensor([[*example.prompt, *target[:-1]]])).logits[0]
        each.append(functional.cross_entropy(logits[-len(target) :], torch.tensor(target)).item())
    with torch.no_grad():
        assert float(loss_of(lm, examples, rows, numbers, scope)) == pytest.approx(np.mean(each), rel=1e-5)


def randomised(model: Any) -> Any:
    generator = torch.Generator().manual_seed(4)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return model


def reference_loss(model: Any, examples: Sequence[Example]) -> Tensor:
    """Every place of every example as a string of its own through PEFT's forward."""
    total = torch.zeros(())
    for example in examples:
        nodes = example.continuation
        paths = [()] + [tuple(nodes.tokens[step] for step in nodes.path(node)) for node in range(nodes.size)]
        for place, path in zip(example.places, paths, strict=True):
            scores = last_logits(model, (*example.prompt, *path)).log_softmax(dim=-1)[list(place.tokens)]
            crossed = (torch.tensor(place.probabilities) * scores).sum()
            ending = place.ends * torch.log(1 - scores.exp().sum()) if place.ends else 0.0
            total = total - place.weight * (crossed + ending)
    return total / len(examples)


@pytest.mark.parametrize("target", ["distribution", "text"])
@pytest.mark.parametrize(("family", "overrides"), [("llama", {}), ("gemma3_text", WINDOW)])
@pytest.mark.filterwarnings("ignore:Keys and values of")
def test_gradients_on_kept_prefixes_are_those_of_an_activated_adapter(
    make_tiny: MakeTiny, family: str, overrides: dict[str, Any], target: str
) -> None:
    """PEFT's own activated LoRA, unpadded and without a cache: the adapter acts from the invocation tokens on."""
    lm = make_tiny(family, **overrides)
    rows, numbers = rows_of(lm)
    rows = rows[:3]
    reply = reply_tokens(lm.tokenizer, FORMAT, numbers)
    if target == "text":
        examples = text_examples(lm.tokenizer, FORMAT, numbers, rows, [73, 0, 100])
    else:
        examples = distribution_examples(lm.tokenizer, FORMAT, numbers, rows, spread_of(lm)[:3])
    config = {"r": 4, "lora_alpha": 8, "target_modules": list(MODULES), "task_type": "CAUSAL_LM"}
    alora = LoraConfig(alora_invocation_tokens=list(reply), **config)
    expected = randomised(get_peft_model(make_tiny(family, **overrides).base(), alora))
    loss = reference_loss(expected, examples)
    loss.backward()
    tuned = add_adapter(lm, LoraSettings(rank=4, alpha=8, dropout=0.0, modules=MODULES))
    randomised(tuned.model)
    ours = loss_of(tuned, examples, rows, numbers, "reply")
    ours.backward()
    assert ours.item() == pytest.approx(loss.item(), rel=1e-5)
    found = {name: p.grad for name, p in tuned.model.named_parameters() if p.requires_grad}
    assert len(found) == 4 * 2 * len(MODULES)
    for name, parameter in expected.named_parameters():
        if parameter.requires_grad:
            scale = parameter.grad.abs().max().item()
            assert scale > 0
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-4 * scale)


def test_a_loss_by_hand() -> None:
    """Row 1: half a on token 0, quarter on 2, quarter ends. Row 2: token 1 for sure at half weight; its second place is padding."""
    logits = torch.tensor([[[0.5, 0.2, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]], [[0.1, 0.7, 0.1, 0.1], [0.25] * 4]]).log()
    examples = [
        Example((9,), Continuation((0,), (-1,)), (Place(1.0, (0, 2), (0.5, 0.25), 0.25), Place(0.5, (3,), (1.0,)))),
        Example((9, 9), Continuation(), (Place(0.5, (1,), (1.0,)),)),
    ]
    targets = batch_targets(examples, torch.device("cpu"))
    first = -(0.5 * np.log(0.5) + 0.25 * np.log(0.2) + 0.25 * np.log(0.3)) - 0.5 * np.log(0.4)
    assert float(targets.loss(logits)) == pytest.approx((first - 0.5 * np.log(0.7)) / 2, rel=1e-6)
    assert targets.alphabet.tolist() == [0, 1, 2, 3]
    assert targets.weights.tolist() == [[1.0, 0.5], [0.5, 0.0]]
    assert targets.follows[0].tolist() == [[True, False, True, False], [False, False, False, True]]
    assert not targets.follows[1, 1].any()


def test_a_number_that_surely_goes_on_costs_a_finite_loss() -> None:
    one = torch.ones(1, 1)
    targets = Targets(torch.tensor([0]), torch.zeros(1, 1, 1), torch.ones(1, 1, 1, dtype=torch.bool), one, one)
    logits = torch.tensor([[[60.0, -60.0]]], requires_grad=True)
    loss = targets.loss(logits)
    loss.backward()
    assert loss.item() == pytest.approx(-np.log(1e-6), rel=0.02)
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_trees_stand_behind_a_chain_and_see_their_own_ancestors() -> None:
    prompts = pad_prompts([[5, 6, 7], [8]], 0, torch.device("cpu"))
    tail = trees(prompts, (3, 4), [Continuation((11, 12, 13), (-1, 0, 0)), Continuation((14,), (-1,))])
    assert tail.tokens.tolist() == [[3, 4, 11, 12, 13], [3, 4, 14, 0, 0]]
    assert tail.positions[0].tolist() == [3, 4, 5, 6, 6]
    assert tail.positions[1, :3].tolist() == [1, 2, 3]
    assert tail.sees[0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 0, 1],
    ]
    assert tail.sees[1, :3, :3].int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert not tail.sees[1, :3, 3:].any()


def test_logits_are_made_at_the_places_alone(tiny_lm: LanguageModel) -> None:
    rows, numbers = rows_of(tiny_lm)
    examples = distribution_examples(tiny_lm.tokenizer, FORMAT, numbers, rows, spread_of(tiny_lm))
    with torch.no_grad():
        logits = tiny_lm.model(**inputs_of(tiny_lm, examples, None, ())).logits
    assert logits.shape == (5, max(len(example.places) for example in examples), 384)
