from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model

from tests.support.tiny_models import EAGER, PACKABLE
from workbench.elicit.conversation import (
    Conversation,
    ScaleTokens,
    confidence_conversation,
    scale_tokens,
)
from workbench.elicit.formats import Format
from workbench.elicit.readout import expected_confidence, read_confidence
from workbench.elicit.reply_tokens import reply_tokens
from workbench.elicit.scales import PERCENT
from workbench.elicit.trie import ScaleTrie
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, hidden_of, with_hidden
from workbench.patch.sweep import ONE_BATCH, layer_sweep_of_scale, record_number
from workbench.trace.backends import engine

MakeTiny = Callable[..., LanguageModel]
FORMAT = Format("short", "", "A:", "Sure?", "C:", " ", "%", PERCENT)
QUESTIONS = (("Who?", "Ada"), ("What is 48 + 37?", "85"), ("Where is Lyon?", "in France"))
SLIDING = {"sliding_window": 24}
MIXED = {**SLIDING, "layer_types": ["sliding_attention", "full_attention"] * 2}
OVERRIDES: dict[str, dict[str, Any]] = {
    "mistral": SLIDING,
    "gemma2": MIXED,
    "gemma3_text": MIXED,
    "gpt_oss": MIXED,
    "cohere2": {**MIXED, "logit_scale": 1.0},
}
CASES = [
    (family, OVERRIDES.get(family, {}), attention)
    for family in PACKABLE
    for attention in ("sdpa", "eager")
    if attention == "eager" or family not in EAGER
]
CASES += [
    ("mistral", {"sliding_window": None}, "sdpa"),
    ("phi3", SLIDING, "sdpa"),
    ("mixtral", SLIDING, "sdpa"),
]
LAYERS = [0, 1, 2, 3]

packed_sweep = partial(layer_sweep_of_scale, tokens_per_forward=ONE_BATCH)
loop_sweep = partial(packed_sweep, engine=engine("loop"))


def rows_of(lm: LanguageModel) -> tuple[list[Conversation], ScaleTokens]:
    numbers = scale_tokens(lm.tokenizer, FORMAT)
    return [
        confidence_conversation(lm.tokenizer, FORMAT, numbers, q, a) for q, a in QUESTIONS
    ], numbers


def tokens_of(rows: Sequence[Conversation]) -> list[tuple[int, ...]]:
    return [row.tokens for row in rows]


def random_states(layers: int, seed: int = 1) -> torch.Tensor:
    return torch.randn((len(QUESTIONS), layers, 32), generator=torch.Generator().manual_seed(seed))


def states_at(
    lm: LanguageModel, rows: Sequence[Conversation], numbers: ScaleTokens, name: str
) -> torch.Tensor:
    states = read_confidence(lm, rows, numbers, record=(name,)).states
    assert states is not None
    return torch.as_tensor(states[:, :, 0])


def patched_alone(
    lm: LanguageModel,
    tokens: Sequence[int],
    trie: ScaleTrie,
    position: int,
    layer: int,
    state: torch.Tensor,
) -> NDArray[np.float64]:
    """[values]: every trie path as an unpadded string through the model's own masks, one plain
    hook, no packing.
    """

    def patch(module: Any, args: Any, output: Any) -> Any:
        hidden = hidden_of(output).clone()
        hidden[:, position] = state
        return with_hidden(output, hidden)

    logits = torch.empty((len(trie.inner), lm.config.vocab_size))
    handle = lm.layers()[layer].register_forward_hook(patch)
    for size in {len(path) for path in trie.inner}:
        nodes = [node for node, path in enumerate(trie.inner) if len(path) == size]
        ids = torch.tensor([[*tokens, *trie.inner[node]] for node in nodes])
        with torch.no_grad():
            logits[nodes] = lm.model(input_ids=ids, use_cache=False).logits[:, -1].float()
    handle.remove()
    return trie.distribution(trie.readout(logits))


@pytest.mark.parametrize(("family", "overrides", "attention"), CASES)
def test_the_packed_sweep_is_the_loop_and_the_plain_hook(
    make_tiny: MakeTiny, family: str, overrides: dict[str, Any], attention: str
) -> None:
    """Rows of different length; patched at the end, in the answer, and at unequal distances from
    the end.
    """
    lm = make_tiny(family, **overrides)
    lm.base().set_attn_implementation(attention)
    rows, numbers = rows_of(lm)
    assert len({len(row.tokens) for row in rows}) == 3
    end = [row.confidence for row in rows]
    answer = [row.answer_end for row in rows]
    unequal = [rows[0].answer_end, rows[1].confidence, rows[2].answer_end - 6]
    for positions, layers in ((end, LAYERS), (answer, LAYERS), (unequal, [1, 3])):
        donors = random_states(len(layers))
        packed = packed_sweep(lm, tokens_of(rows), numbers.trie, positions, layers, donors)
        looped = loop_sweep(lm, tokens_of(rows), numbers.trie, positions, layers, donors)
        np.testing.assert_allclose(packed.base, looped.base, rtol=1e-5, atol=1e-12)
        np.testing.assert_allclose(packed.patched, looped.patched, rtol=1e-5, atol=1e-12)
        moved = np.abs(packed.patched / packed.base[:, None] - 1).max(axis=2)
        reaches_the_end = [place for place, layer in enumerate(layers) if layer <= 1]
        assert moved[:, reaches_the_end].min() > 1e-4
        if positions is end:
            assert moved.min() > 1e-3
        if positions is answer:
            assert moved[:, -1].max() < 1e-5
    for row, layer in ((0, 1), (2, 1), (1, 3)):
        donor = random_states(2)[row, [1, 3].index(layer)]
        alone = patched_alone(lm, rows[row].tokens, numbers.trie, unequal[row], layer, donor)
        np.testing.assert_allclose(
            packed.patched[row, [1, 3].index(layer)], alone, rtol=1e-4, atol=1e-9
        )


@pytest.mark.parametrize("kind", ["whole_numbers", "merged_space"])
def test_other_tokenizers(make_tiny: MakeTiny, kind: str) -> None:
    lm = make_tiny("llama", tokenizer=kind)
    rows, numbers = rows_of(lm)
    positions, donors = [row.after_answer for row in rows], random_states(4)
    packed = packed_sweep(lm, tokens_of(rows), numbers.trie, positions, LAYERS, donors)
    looped = loop_sweep(lm, tokens_of(rows), numbers.trie, positions, LAYERS, donors)
    np.testing.assert_allclose(packed.patched, looped.patched, rtol=1e-5)
    np.testing.assert_allclose(
        packed.base, read_confidence(lm, rows, numbers).distribution, rtol=1e-5
    )


def test_a_subset_of_layers_is_those_columns_of_the_whole_sweep(tiny_lm: LanguageModel) -> None:
    rows, numbers = rows_of(tiny_lm)
    positions, donors = [row.answer_end for row in rows], random_states(4)
    whole = packed_sweep(tiny_lm, tokens_of(rows), numbers.trie, positions, LAYERS, donors)
    for layers in ([0], [3], [1, 2], [0, 3]):
        part = packed_sweep(
            tiny_lm, tokens_of(rows), numbers.trie, positions, layers, donors[:, layers]
        )
        np.testing.assert_allclose(part.patched, whole.patched[:, layers], rtol=1e-5)


def with_random_adapter(lm: LanguageModel) -> LanguageModel:
    """A LoRA adapter whose B is not zero, on every linear module of layers 1 and 2."""
    config = LoraConfig(
        r=4,
        target_modules=["k_proj", "o_proj", "gate_proj", "down_proj"],
        layers_to_transform=[1, 2],
        init_lora_weights=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return lm.with_model(get_peft_model(lm.base(), config).eval())


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_inside_an_adapter(make_tiny: MakeTiny, attention: str) -> None:
    lm = make_tiny("llama")
    lm.base().set_attn_implementation(attention)
    rows, numbers = rows_of(lm)
    plain = read_confidence(lm, rows, numbers).distribution
    tuned = with_random_adapter(lm)
    positions, donors = [row.answer_end for row in rows], random_states(4)
    packed = packed_sweep(tuned, tokens_of(rows), numbers.trie, positions, LAYERS, donors)
    looped = loop_sweep(tuned, tokens_of(rows), numbers.trie, positions, LAYERS, donors)
    np.testing.assert_allclose(packed.patched, looped.patched, rtol=1e-5)
    assert np.abs(packed.base / plain - 1).max() > 1e-2
    alone = patched_alone(tuned, rows[2].tokens, numbers.trie, positions[2], 1, donors[2, 1])
    np.testing.assert_allclose(packed.patched[2, 1], alone, rtol=1e-4, atol=1e-9)
    with tuned.model.disable_adapter():
        off = packed_sweep(tuned, tokens_of(rows), numbers.trie, positions, LAYERS, donors)
    np.testing.assert_allclose(off.base, plain, rtol=1e-5)


def with_invocation(lm: LanguageModel, reply: tuple[int, ...]) -> LanguageModel:
    """The same adapter on every module, acting from the tokens of the reply on."""
    config = LoraConfig(
        r=4,
        target_modules=["q_proj", "v_proj", "down_proj"],
        task_type="CAUSAL_LM",
        alora_invocation_tokens=list(reply),
        init_lora_weights=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return lm.with_model(get_peft_model(lm.base(), config).eval(), len(reply))


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
@pytest.mark.parametrize("budget", [ONE_BATCH, 60])
def test_inside_an_adapter_with_a_reach(make_tiny: MakeTiny, family: str, budget: int) -> None:
    """Branches appended late, in one pass and in passes of their own; each is PEFT's own forward
    with one plain hook.
    """
    lm = make_tiny(family, **OVERRIDES.get(family, {}))
    rows, numbers = rows_of(lm)
    plain = read_confidence(lm, rows, numbers).distribution
    reply = reply_tokens(lm.tokenizer, FORMAT, numbers)
    assert len(reply) > 3
    tuned = with_invocation(lm, reply)
    donors = random_states(4)
    for back in (0, len(reply) - 1):
        positions = [row.confidence - back for row in rows]
        packed, looped = (
            sweep(
                tuned,
                tokens_of(rows),
                numbers.trie,
                positions,
                LAYERS,
                donors,
                tokens_per_forward=budget,
            )
            for sweep in (packed_sweep, loop_sweep)
        )
        np.testing.assert_allclose(packed.base, looped.base, rtol=1e-5, atol=1e-12)
        np.testing.assert_allclose(packed.patched, looped.patched, rtol=1e-5, atol=1e-12)
        alone = patched_alone(tuned, rows[2].tokens, numbers.trie, positions[2], 1, donors[2, 1])
        np.testing.assert_allclose(packed.patched[2, 1], alone, rtol=1e-4, atol=1e-9)
    assert np.abs(packed.base / plain - 1).max() > 1e-2
    early = [row.confidence - len(reply) for row in rows]
    looped = loop_sweep(tuned, tokens_of(rows), numbers.trie, early, LAYERS, donors)
    alone = patched_alone(tuned, rows[2].tokens, numbers.trie, early[2], 1, donors[2, 1])
    np.testing.assert_allclose(looped.patched[2, 1], alone, rtol=1e-4, atol=1e-9)
    packed = packed_sweep(
        tuned, tokens_of(rows), numbers.trie, early, LAYERS, donors, tokens_per_forward=budget
    )
    np.testing.assert_allclose(packed.base, looped.base, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(packed.patched, looped.patched, rtol=1e-5, atol=1e-12)
    with tuned.model.disable_adapter():
        off = packed_sweep(
            tuned, tokens_of(rows), numbers.trie, early, LAYERS, donors, tokens_per_forward=budget
        )
    np.testing.assert_allclose(off.base, plain, rtol=1e-5)


def test_whole_strings_know_no_reach(make_tiny: MakeTiny) -> None:
    lm = make_tiny("falcon_h1")
    rows, numbers = rows_of(lm)
    tuned = with_invocation(lm, reply_tokens(lm.tokenizer, FORMAT, numbers))
    positions = [row.confidence for row in rows]
    with pytest.raises(WorkbenchError, match="falcon_h1 is run on whole strings"):
        loop_sweep(tuned, tokens_of(rows), numbers.trie, positions, LAYERS, random_states(4))
    with pytest.raises(WorkbenchError, match="falcon_h1 is run on whole strings"):
        record_number(tuned, tokens_of(rows), numbers.trie, [[position] for position in positions])


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt2", "mistral"])
@pytest.mark.parametrize("name", ["confidence", "answer_end"])
def test_a_state_written_over_itself_changes_nothing(
    make_tiny: MakeTiny, family: str, name: str
) -> None:
    lm = make_tiny(family, **OVERRIDES.get(family, {}))
    rows, numbers = rows_of(lm)
    own = states_at(lm, rows, numbers, name)
    positions = [row.position(name) for row in rows]
    sweep = packed_sweep(lm, tokens_of(rows), numbers.trie, positions, LAYERS, own)
    np.testing.assert_allclose(
        sweep.patched, np.repeat(sweep.base[:, None], 4, axis=1), rtol=1e-4, atol=1e-9
    )
    assert np.abs(sweep.patched - sweep.base[:, None]).max() < 1e-5


def silence(lm: LanguageModel, attention: Sequence[int] = (), mlp: Sequence[int] = ()) -> None:
    """Leave only the named layers' attention and MLP: the others are the identity on the
    residual stream.
    """
    with torch.no_grad():
        for index, layer in enumerate(lm.base().model.layers):
            if index not in attention:
                layer.self_attn.o_proj.weight.zero_()
            if index not in mlp:
                layer.mlp.down_proj.weight.zero_()


def change_mlp(lm: LanguageModel, layer: int) -> None:
    with torch.no_grad():
        noise = torch.randn((32, 64), generator=torch.Generator().manual_seed(9))
        lm.base().model.layers[layer].mlp.down_proj.weight.add_(noise)


@pytest.mark.parametrize("writer", [0, 1, 2, 3])
def test_the_layer_that_writes_the_readout_is_found_exactly(
    make_tiny: MakeTiny, writer: int
) -> None:
    """Only ``writer`` computes, and tuning changed it alone: shift 0 before it, 1 from it on.

    Whole numbers are single tokens, so the distribution is read at the patched token itself.
    """
    base, tuned = make_tiny("llama", "whole_numbers"), make_tiny("llama", "whole_numbers")
    for lm in (base, tuned):
        silence(lm, attention=[writer], mlp=[writer])
    change_mlp(tuned, writer)
    rows, numbers = rows_of(base)
    target = read_confidence(tuned, rows, numbers).distribution
    donors = states_at(tuned, rows, numbers, "confidence")
    positions = [row.confidence for row in rows]
    sweep = packed_sweep(base, tokens_of(rows), numbers.trie, positions, LAYERS, donors)
    assert np.abs(target / sweep.base - 1).max() > 0.1
    np.testing.assert_allclose(
        sweep.patched[:, :writer], np.repeat(sweep.base[:, None], writer, axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(
        sweep.patched[:, writer:], np.repeat(target[:, None], 4 - writer, axis=1), rtol=1e-5
    )
    readout = {
        name: expected_confidence(table, PERCENT.values, 100) for name, table in vars(sweep).items()
    }
    goal = expected_confidence(target, PERCENT.values, 100)
    shift = (readout["patched"] - readout["base"][:, None]) / (goal - readout["base"])[:, None]
    assert shift == pytest.approx(
        np.repeat((np.arange(4) >= writer)[None], 3, axis=0).astype(float), abs=1e-2
    )


def test_information_at_an_earlier_token_counts_until_it_is_read(make_tiny: MakeTiny) -> None:
    """Layer 1 writes at the answer, layer 2 alone attends: only the patch behind layer 1 can
    reach the readout.
    """
    base, tuned = make_tiny("llama"), make_tiny("llama")
    for lm in (base, tuned):
        silence(lm, attention=[2], mlp=[1])
    change_mlp(tuned, 1)
    rows, numbers = rows_of(base)
    donors = states_at(tuned, rows, numbers, "answer_end")
    positions = [row.answer_end for row in rows]
    sweep = packed_sweep(base, tokens_of(rows), numbers.trie, positions, LAYERS, donors)
    moved = np.abs(sweep.patched / sweep.base[:, None] - 1).max(axis=2)
    assert moved[:, [0, 2, 3]].max() < 1e-5
    assert moved[:, 1].min() > 1e-3


@pytest.mark.parametrize("sweep", [packed_sweep, loop_sweep])
@pytest.mark.parametrize(
    ("layers", "shape", "offset", "fill", "message"),
    [
        ([0, 4], (3, 2, 32), 0, 0.0, "Layer 4 does not exist|appended after layer 4"),
        ([0, 1], (3, 2, 31), 0, 0.0, "models of the same width"),
        ([0, 1], (3, 2, 32), 1, 0.0, "outside its prompt"),
        ([0, 1], (3, 2, 32), 0, float("nan"), "NaN"),
    ],
)
def test_mistakes_are_named(
    tiny_lm: LanguageModel,
    sweep: Callable[..., Any],
    layers: list[int],
    shape: tuple[int, ...],
    offset: int,
    fill: float,
    message: str,
) -> None:
    rows, numbers = rows_of(tiny_lm)
    positions = [row.confidence + offset for row in rows]
    with pytest.raises(WorkbenchError, match=message):
        sweep(tiny_lm, tokens_of(rows), numbers.trie, positions, layers, torch.full(shape, fill))


@pytest.mark.parametrize("family", ["falcon_h1", "qwen3_next"])
def test_a_recurrent_family_is_patched_from_copies_of_states(
    make_tiny: MakeTiny, family: str
) -> None:
    """Rows of unequal length, so that padding would be seen; said once, and equal to the loop and
    to plain hooks on each string.
    """
    lm = make_tiny(family)
    rows, numbers = rows_of(lm)
    positions, donors = [row.confidence for row in rows], random_states(2)
    with pytest.warns(UserWarning, match=f"{family} is run on rows of equal length.*recurrent"):
        sweep = packed_sweep(lm, tokens_of(rows), numbers.trie, positions, [0, 2], donors)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        packed_sweep(lm, tokens_of(rows), numbers.trie, positions, [0, 2], donors)
    with pytest.warns(UserWarning, match=f"{family} is patched by one forward a branch.*recurrent"):
        looped = loop_sweep(lm, tokens_of(rows), numbers.trie, positions, [0, 2], donors)
    np.testing.assert_allclose(sweep.patched, looped.patched, rtol=1e-4, atol=1e-9)
    for row in range(3):
        for place, layer in enumerate((0, 2)):
            alone = patched_alone(
                lm, rows[row].tokens, numbers.trie, positions[row], layer, donors[row, place]
            )
            np.testing.assert_allclose(sweep.patched[row, place], alone, rtol=1e-4, atol=1e-9)


def test_the_whole_number_patched_behind_the_last_layer_gives_the_donors_distribution(
    tiny_lm: LanguageModel,
) -> None:
    """Donors from other questions; nothing is left to the question patched, and packed and loop
    agree at every layer.
    """
    rows, numbers = rows_of(tiny_lm)
    tokens, positions = tokens_of(rows), [row.confidence for row in rows]
    donors = record_number(tiny_lm, tokens, numbers.trie, [[p] for p in positions]).flip(0)
    assert donors.shape[2] == 1 + len(numbers.trie.scored_tokens) > 1
    packed = packed_sweep(tiny_lm, tokens, numbers.trie, positions, LAYERS, donors)
    looped = loop_sweep(tiny_lm, tokens, numbers.trie, positions, LAYERS, donors)
    np.testing.assert_allclose(packed.patched, looped.patched, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(packed.patched[:, -1], packed.base[::-1], rtol=1e-4, atol=1e-9)
    first_token_only = packed_sweep(
        tiny_lm, tokens, numbers.trie, positions, LAYERS, donors[:, :, :1]
    )
    assert np.abs(first_token_only.patched[:, -1] / packed.base[::-1] - 1).max() > 1e-3


def test_only_a_direction_is_swapped_between_questions(tiny_lm: LanguageModel) -> None:
    """Against whole strings with the state written out by hand, and in one packed call for all
    layers; along every direction at once it is the swap of whole states.
    """
    rows, numbers = rows_of(tiny_lm)
    tokens, positions = tokens_of(rows), [row.confidence for row in rows]
    own = record_number(tiny_lm, tokens, numbers.trie, [[p] for p in positions])[:, :, 0]
    donors = own.flip(0) + random_states(4)
    directions = random_states(4, seed=3)[0]
    sweep = partial(packed_sweep, tiny_lm, tokens, numbers.trie, positions, LAYERS, donors)
    along = sweep(subspace=directions)
    looped = sweep(subspace=directions, engine=engine("loop"))
    np.testing.assert_allclose(along.patched, looped.patched, rtol=1e-4, atol=1e-9)
    for row, layer in ((0, 1), (2, 0), (1, 3)):
        unit = directions[layer] / directions[layer].norm()
        state = own[row, layer] + unit * (unit @ (donors[row, layer] - own[row, layer]))
        alone = patched_alone(tiny_lm, rows[row].tokens, numbers.trie, positions[row], layer, state)
        np.testing.assert_allclose(along.patched[row, layer], alone, rtol=1e-4, atol=1e-9)
    by_layer = sweep(subspace={layer: directions[layer][:, None] for layer in (3, 1, 0, 2)})
    np.testing.assert_array_equal(by_layer.patched, along.patched)
    whole = sweep(subspace=torch.eye(32).expand(4, 32, 32))
    np.testing.assert_allclose(whole.patched, sweep().patched, rtol=1e-4, atol=1e-9)
    assert np.abs(whole.patched / along.patched - 1).max() > 1e-2
    with pytest.raises(WorkbenchError, match="with 4 layers, or a mapping"):
        sweep(subspace=directions[:3])
    with pytest.raises(WorkbenchError, match="is 32 wide, the basis of its subspace 16"):
        sweep(subspace=directions[:, :16])
