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
    ScaleTokens,
    confidence_conversation,
    scale_tokens,
)
from workbench.elicit.formats import Format
from workbench.elicit.reply_tokens import reply_tokens
from workbench.elicit.scales import PERCENT
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.teach.adapter import add_adapter
from workbench.teach.batch import batch_targets
from workbench.teach.examples import Example, distribution_examples, text_examples
from workbench.teach.targets import spread_targets
from workbench.teach.training_forward import Passes, Reply
from workbench.trace.prefix_cache import PrefixCache

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


def rows_of(lm: LanguageModel) -> tuple[list[Conversation], ScaleTokens]:
    """Five conversations of unequal length."""
    numbers = scale_tokens(lm.tokenizer, FORMAT)
    return [
        confidence_conversation(
            lm.tokenizer, FORMAT, numbers, f"What is {i}{' and x' * (i % 3)}?", str(i)
        )
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
            logits = torch.stack(
                [last_logits(lm.base(), (*row.tokens, *path)) for path in trie.inner]
            )
        found = trie.distribution(trie.readout(logits.double()))
        out.append(float(-(target * np.log(found)).sum()))
    return out


def passes_of(
    lm: LanguageModel,
    examples: Sequence[Example],
    numbers: ScaleTokens,
    scope: str,
    first: int = 0,
    room: int = 10**9,
) -> Passes:
    """The passes of a training, nothing kept beforehand."""
    reply = None
    if scope == "reply":
        reply = Reply(
            reply_tokens(lm.tokenizer, FORMAT, numbers),
            range(len(examples)),
            PrefixCache(0, 10**6, None),
        )
    return Passes(lm, examples, reply, first, room)


def loss_of(passes: Passes) -> Tensor:
    logits = passes.logits(passes.lm.model, range(len(passes.examples)))
    return batch_targets(passes.examples, logits.device).loss(logits)


CASES = [(family, overrides, "digits") for family, overrides in FAMILIES]
CASES += [("llama", {}, kind) for kind in KINDS[1:]] + [
    ("gemma3_text", WINDOW, kind) for kind in KINDS[1:]
]


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
    """With every node reached, exactly; as it is, without what stands at the nodes left out.
    Endings weigh nothing here.
    """
    monkeypatch.setattr(workbench.teach.examples, "ENDING", 0.0)
    lm = make_tiny(family, tokenizer=kind, **overrides)
    rows, numbers = rows_of(lm)
    expected = np.mean(cross_entropies(lm))
    with torch.no_grad():
        short = distribution_examples(lm.tokenizer, FORMAT, numbers, rows, spread_of(lm))
        found = float(loss_of(passes_of(lm, short, numbers, scope)))
        monkeypatch.setattr(workbench.teach.examples, "UNREACHED", 0.0)
        whole = distribution_examples(lm.tokenizer, FORMAT, numbers, rows, spread_of(lm))
        assert float(loss_of(passes_of(lm, whole, numbers, scope))) == pytest.approx(
            expected, rel=1e-5
        )
    dropped = max(len(w.places) - len(s.places) for w, s in zip(whole, short, strict=True)) * 1e-3
    assert expected - 20 * dropped - 1e-4 <= found <= expected * (1 + 1e-5)


@pytest.mark.parametrize("scope", ["conversation", "reply"])
@pytest.mark.parametrize(("family", "overrides"), FAMILIES[:4])
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_a_text_is_plain_cross_entropy(
    make_tiny: MakeTiny, family: str, overrides: dict[str, Any], kind: str, scope: str
) -> None:
    """The mean over each row's tokens, from one plain forward of the row's own string; then over
    rows.
    """
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
        assert float(loss_of(passes_of(lm, examples, numbers, scope))) == pytest.approx(
            np.mean(each), rel=1e-5
        )


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
        nodes = example.tree
        paths = [()] + [
            tuple(nodes.tokens[step] for step in nodes.path(node)) for node in range(nodes.size)
        ]
        for place, path in zip(example.places, paths, strict=True):
            scores = last_logits(model, (*example.prompt, *path)).log_softmax(dim=-1)[
                list(place.tokens)
            ]
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
    """PEFT's own activated LoRA, unpadded and without a cache: the adapter acts from the
    invocation tokens on.
    """
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
    tuned = add_adapter(lm, LoraSettings(rank=4, alpha=8, dropout=0.0, target_modules=MODULES))
    randomised(tuned.model)
    ours = loss_of(passes_of(tuned, examples, numbers, "reply"))
    ours.backward()
    assert ours.item() == pytest.approx(loss.item(), rel=1e-5)
    found = {name: p.grad for name, p in tuned.model.named_parameters() if p.requires_grad}
    assert len(found) == 4 * 2 * len(MODULES)
    for name, parameter in expected.named_parameters():
        if parameter.requires_grad:
            scale = parameter.grad.abs().max().item()
            assert scale > 0
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-4 * scale)


PARTIAL = [
    ("llama", {}, MODULES),
    ("qwen2", {"num_hidden_layers": 4}, MODULES),
    ("gemma2", WINDOW, MODULES),
    ("gpt_neox", {}, ("query_key_value", "dense")),
    ("gpt2", {}, ("c_attn", "c_proj")),
    ("mixtral", {"num_local_experts": 4}, ("q_proj", "v_proj")),
]


def tuned_from(
    make_tiny: MakeTiny,
    family: str,
    overrides: dict[str, Any],
    modules: tuple[str, ...],
    first: int,
) -> LanguageModel:
    """A tiny model with a random adapter from a layer on."""
    lm = make_tiny(family, **overrides)
    tuned = add_adapter(
        lm, LoraSettings(rank=4, alpha=8, dropout=0.0, target_modules=modules), first
    )
    randomised(tuned.model)
    return tuned


def gradients(lm: LanguageModel) -> dict[str, Tensor]:
    found = {name: p.grad for name, p in lm.model.named_parameters() if p.requires_grad}
    lm.model.zero_grad(set_to_none=True)
    assert all(grad is not None for grad in found.values())
    return {name: grad for name, grad in found.items() if grad is not None}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = gradient.abs().max().item()
        assert scale > 0, name
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-5 * scale, msg=name)


@pytest.mark.parametrize("scope", ["conversation", "reply"])
@pytest.mark.parametrize(("family", "overrides", "modules"), PARTIAL)
@pytest.mark.filterwarnings("ignore:Keys and values of", "ignore:States of")
def test_kept_states_change_neither_loss_nor_gradients(
    make_tiny: MakeTiny,
    family: str,
    overrides: dict[str, Any],
    modules: tuple[str, ...],
    scope: str,
) -> None:
    """An adapter from layer 2 on: begun there from kept states, from states computed at the
    step, and run from layer 0.
    """
    tuned = tuned_from(make_tiny, family, overrides, modules, 2)
    rows, numbers = rows_of(tuned)
    examples = distribution_examples(tuned.tokenizer, FORMAT, numbers, rows, spread_of(tuned))
    whole = loss_of(passes_of(tuned, examples, numbers, scope))
    whole.backward()
    expected = gradients(tuned)
    for room in (10**9, 0):
        passes = passes_of(tuned, examples, numbers, scope, first=2, room=room)
        passes.fill(100, "below")
        assert (0 in passes.frozen) == (room > 0)
        begun = loss_of(passes)
        begun.backward()
        assert begun.item() == pytest.approx(whole.item(), rel=1e-5)
        assert_same(gradients(tuned), expected)


@pytest.mark.parametrize(("family", "overrides", "modules"), PARTIAL)
def test_loss_and_gradients_are_those_of_plain_forwards(
    make_tiny: MakeTiny, family: str, overrides: dict[str, Any], modules: tuple[str, ...]
) -> None:
    """Shared beginning, spared columns of the last layer and trees, against every place as an
    unpadded string of its own.
    """
    tuned = tuned_from(make_tiny, family, overrides, modules, 0)
    rows, numbers = rows_of(tuned)
    examples = distribution_examples(tuned.tokenizer, FORMAT, numbers, rows, spread_of(tuned))
    passes = passes_of(tuned, examples, numbers, "conversation")
    assert len(passes.shared) > 10
    found = loss_of(passes)
    found.backward()
    ours = gradients(tuned)
    plain = reference_loss(tuned.model, examples)
    plain.backward()
    assert found.item() == pytest.approx(plain.item(), rel=1e-5)
    expected = gradients(tuned)
    assert ours.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(
            ours[name], gradient, rtol=1e-4, atol=1e-4 * gradient.abs().max().item(), msg=name
        )


def test_states_are_kept_of_own_columns_in_the_models_dtype(make_tiny: MakeTiny) -> None:
    """Width entries for every token behind the shared ones, prompt and tree, and none for the
    padding.
    """
    tuned = tuned_from(make_tiny, "llama", {}, MODULES, 3)
    rows, numbers = rows_of(tuned)
    examples = text_examples(tuned.tokenizer, FORMAT, numbers, rows, [73, 0, 100, 9, 10])
    passes = passes_of(tuned, examples, numbers, "conversation", first=3)
    passes.fill(100, "below")
    tokens = sum(len(e.prompt) - len(passes.shared) + e.tree.size for e in examples)
    assert passes.frozen.bytes == tokens * tuned.width * 4
    assert passes.frozen[0].dtype == torch.float32


def test_a_family_that_no_mask_can_separate_is_refused(make_tiny: MakeTiny) -> None:
    lm = make_tiny("falcon_h1")
    rows, numbers = rows_of(lm)
    examples = text_examples(lm.tokenizer, FORMAT, numbers, rows, [73, 0, 100, 9, 10])
    with pytest.raises(WorkbenchError, match="falcon_h1 cannot be taught here"):
        passes_of(lm, examples, numbers, "conversation")


def test_the_order_of_a_training_cannot_tell_targets(make_tiny: MakeTiny) -> None:
    """Bells of unequal width have unequal numbers of nodes; lengths, which the order goes by,
    are those of prompts alone.
    """
    lm = make_tiny("llama")
    rows, numbers = rows_of(lm)
    examples = distribution_examples(lm.tokenizer, FORMAT, numbers, rows, spread_of(lm))
    reply = passes_of(lm, examples, numbers, "reply")
    assert len(set(reply.sizes)) > 1
    assert set(reply.lengths) == {len(reply_tokens(lm.tokenizer, FORMAT, numbers))}
    whole = passes_of(lm, examples, numbers, "conversation")
    beyond = {
        len(example.prompt) - length
        for example, length in zip(examples, whole.lengths, strict=True)
    }
    assert beyond == {len(whole.shared)}
