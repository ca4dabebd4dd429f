"""States of another checkpoint in this model, against plain hooks of both models' own forwards."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.plain_hooks import READ, plain_patch, plain_states
from workbench.api.patching import patch_map, sweep
from workbench.api.recorded_donor import record_donor
from workbench.elicit.formats import FORMATS
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.controls import derangement

CAT, DOG, DOGGY = "What is the cat", "What is the dog", "What is the doggy"
MakeTiny = Callable[..., LanguageModel]
PAIR = [CAT, "What is the hen"]


def test_a_recorded_model_is_patched_like_a_loaded_one(
    tiny_lm: LanguageModel, make_tiny: MakeTiny
) -> None:
    """Every condition is the same, the donor's reading included."""
    other = make_tiny(seed=1)
    recorded = record_donor(other, PAIR, read=READ)
    live, kept = (sweep(tiny_lm, PAIR, donor=donor, read=READ) for donor in (other, recorded))
    assert [part.name for part in kept.conditions] == [
        "donor",
        "random_vector",
        "other_prompt",
        "random_position",
        "own_state",
    ]
    for part in live.conditions:
        again = kept.condition(part.name)
        assert again.patched == pytest.approx(part.patched, abs=1e-5)
        assert again.donor == pytest.approx(part.donor, abs=1e-5)


def test_another_models_donor_is_plain_hooks(tiny_lm: LanguageModel, make_tiny: MakeTiny) -> None:
    other = make_tiny(seed=1)
    states = plain_states(other, DOG)
    found = patch_map(tiny_lm, CAT, record_donor(other, DOG, read=READ), read=READ, controls=False)
    for layer in range(4):
        for token in (0, 4, 6):
            wanted = plain_patch(tiny_lm, CAT, layer, token, states[layer][token])
            assert found.patched[0, layer, token] == pytest.approx(wanted, abs=1e-5)
    with torch.no_grad():
        logits = other.model(torch.tensor([other.tokenizer(DOG)["input_ids"]])).logits[0, -1]
    first, second = (other.tokenizer(text)["input_ids"][0] for text in READ)
    assert found.donor == pytest.approx([float(logits[first] - logits[second])], abs=1e-5)


def test_the_same_weights_give_the_own_states(tiny_lm: LanguageModel, make_tiny: MakeTiny) -> None:
    found = sweep(tiny_lm, PAIR, record_donor(make_tiny(), PAIR, read=READ), read=READ)
    still = found.condition("own_state")
    assert np.allclose(found.patched[:, list(still.axes[0].labels)], still.patched, atol=2e-6)
    assert found.donor == pytest.approx(found.base, abs=1e-5)
    assert found.patched == pytest.approx(np.repeat(found.base[:, None], 4, axis=1), abs=1e-5)


def test_another_prompts_state_is_its_partners(tiny_lm: LanguageModel, make_tiny: MakeTiny) -> None:
    prompts, other = [*PAIR, "What is the ant"], make_tiny(seed=1)
    found = sweep(tiny_lm, prompts, record_donor(other, prompts, read=READ), read=READ)
    part, partner = found.condition("other_prompt"), derangement(3, 0)
    assert found.donor is not None
    assert part.donor == pytest.approx(found.donor[partner])
    states = [plain_states(other, prompts[row]) for row in partner]
    for row, text in enumerate(prompts):
        wanted = [plain_patch(tiny_lm, text, n, 6, states[row][n][6]) for n in range(4)]
        assert part.patched[row] == pytest.approx(wanted, abs=1e-5)


def test_nothing_of_the_recorded_model_is_held(make_tiny: MakeTiny) -> None:
    other = make_tiny(seed=1)
    gone = weakref.ref(other.model)
    recorded = record_donor(other, CAT, read=READ)
    del other
    gc.collect()
    assert gone() is None
    assert len(recorded.states) == 4
    assert all(state.device.type == "cpu" for state in recorded.states.values())


@pytest.mark.parametrize(
    "options",
    [
        {"over": ("layer", "head")},
        {"over": ("neuron",), "layers": [1, 2], "neuron_window": 16},
        {"over": ("component", "position")},
        {"over": "layer", "component": ("values", "mlp_out")},
    ],
)
def test_every_component_is_recorded(
    tiny_lm: LanguageModel, make_tiny: MakeTiny, options: dict[str, Any]
) -> None:
    other, given = make_tiny(seed=1), {**options, "read": READ}
    live, kept = (
        patch_map(tiny_lm, CAT, donor, controls=False, **given)
        for donor in (other, record_donor(other, CAT, **given))
    )
    assert kept.patched == pytest.approx(live.patched, abs=1e-5)


def test_one_donor_prompt_serves_all(tiny_lm: LanguageModel, make_tiny: MakeTiny) -> None:
    """Its state is the same for all, so there is none of another prompt. Prompts of other lengths
    are filled up.
    """
    other = make_tiny(seed=1)
    found = sweep(tiny_lm, [CAT, DOGGY], record_donor(other, DOG, read=READ), read=READ)
    assert "other_prompt" not in [part.name for part in found.conditions]
    state = plain_states(other, DOG)[2][6]
    wanted = [
        plain_patch(tiny_lm, CAT, 2, 6, state),
        plain_patch(tiny_lm, DOGGY, 2, 8, state),
    ]
    assert found.patched[:, 2] == pytest.approx(wanted, abs=1e-5)
    several = record_donor(other, [DOG, DOGGY], read=READ)
    uneven = sweep(tiny_lm, [DOGGY, CAT], several, read=READ)
    assert uneven.patched[1, 2] == pytest.approx(
        plain_patch(tiny_lm, CAT, 2, 6, plain_states(other, DOGGY)[2][8]), abs=1e-5
    )


def test_each_model_has_its_own_tokenizer(tiny_lm: LanguageModel, make_tiny: MakeTiny) -> None:
    """Whole numbers are one token in the donor and digits here; the last token is a place in
    both.
    """
    other = make_tiny(seed=1, tokenizer="whole_numbers")
    text = "What is 42"
    states = plain_states(other, text)
    assert (len(states[0]), len(plain_states(tiny_lm, text)[0])) == (4, 5)
    for donor in (other, record_donor(other, text, read=READ)):
        found = sweep(tiny_lm, text, donor, read=READ, controls=False)
        wanted = [plain_patch(tiny_lm, text, layer, 4, states[layer][3]) for layer in range(4)]
        assert found.patched[0] == pytest.approx(wanted, abs=1e-5)
        with torch.no_grad():
            logits = other.model(torch.tensor([other.tokenizer(text)["input_ids"]])).logits[0, -1]
        first, second = (other.tokenizer(text)["input_ids"][0] for text in READ)
        assert found.donor == pytest.approx([float(logits[first] - logits[second])], abs=1e-5)
        named = patch_map(tiny_lm, text, donor, read=READ, at={"verb": " is"}, controls=False)
        assert named.patched[0, :, 0] == pytest.approx(
            [plain_patch(tiny_lm, text, layer, 1, states[layer][1]) for layer in range(4)], abs=1e-5
        )
        for at in (3, "all", [0]):
            with pytest.raises(WorkbenchError, match="gives its prompt 0 other tokens"):
                patch_map(tiny_lm, text, donor, read=READ, at=at)


def test_each_model_has_its_own_template(tiny_lm: LanguageModel, make_tiny: MakeTiny) -> None:
    other = make_tiny(seed=1)
    other.tokenizer.chat_template = tiny_lm.tokenizer.chat_template.replace(
        "You are a tiny model", "Be brief"
    )
    turns = [{"role": "user", "content": CAT}]
    donor = record_donor(other, turns, read=READ)
    ids = other.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert list(donor.prompts.rows[0]) == list(ids)
    live, kept = (sweep(tiny_lm, turns, each, read=READ) for each in (other, donor))
    assert kept.patched == pytest.approx(live.patched, abs=1e-5)
    with pytest.raises(WorkbenchError, match="an index means another place"):
        sweep(tiny_lm, turns, other, read=READ, at=2)


def test_the_scale_is_read_by_each_models_tokens(
    tiny_lm: LanguageModel, make_tiny: MakeTiny
) -> None:
    """After the last layer the donor's own distribution is read."""
    other, read = make_tiny(seed=1), FORMATS["percent"]
    recorded = record_donor(other, DOGGY, read=read)
    found = sweep(tiny_lm, CAT, recorded, read=read)
    live = sweep(tiny_lm, CAT, donor=DOGGY, read=read)
    assert found.read == "expected confidence"
    assert found.patched.shape == live.patched.shape
    assert found.donor == pytest.approx(
        sweep(other, DOGGY, donor=CAT, read=read, controls=False).base, abs=1e-6
    )


def refusals(tiny_lm: LanguageModel, make_tiny: MakeTiny) -> dict[str, tuple[Any, dict[str, Any]]]:
    other = make_tiny(seed=1)
    whole = make_tiny(seed=1, tokenizer="whole_numbers")
    heads = make_tiny(seed=1, num_attention_heads=8, num_key_value_heads=4, head_dim=4)
    percent, numbers = FORMATS["percent"], "What is 4"
    return {
        "has 5 layers of width 32": (make_tiny(num_hidden_layers=5), {}),
        "8 of head_out in a layer, 4 numbers each": (heads, {"component": "heads"}),
        "was recorded to read the log-probability": (record_donor(other, CAT, read="x"), {}),
        "holds no states of Site.layer=0, component='mlp_out'": (
            record_donor(other, CAT, read=READ),
            {"component": "mlp_out"},
        ),
        "There are 3 donor prompts for 2 prompts": (
            record_donor(other, [CAT, DOG, DOGGY], read=READ),
            {"prompts": [CAT, DOG]},
        ),
        "A function of logits counts token ids": (whole, {"read": lambda logits: logits[:, 5]}),
        "The models cut the scale's texts into other tokens": (
            record_donor(whole, numbers, read=percent),
            {"prompts": numbers, "read": percent},
        ),
        "is '' in one model and '42' in": (
            whole,
            {"prompts": [5, whole.tokenizer.convert_tokens_to_ids("42")]},
        ),
    }


def test_what_does_not_fit_is_refused(tiny_lm: LanguageModel, make_tiny: MakeTiny) -> None:
    for said, (donor, options) in refusals(tiny_lm, make_tiny).items():
        given = {"prompts": CAT, "read": READ, **options}
        with pytest.raises(WorkbenchError, match=said):
            sweep(tiny_lm, donor=donor, **given)


def test_heads_of_another_size_share_the_stream(
    tiny_lm: LanguageModel, make_tiny: MakeTiny
) -> None:
    heads = make_tiny(seed=1, num_attention_heads=8, num_key_value_heads=4, head_dim=4)
    state = plain_states(heads, CAT)[1][6]
    found = sweep(tiny_lm, CAT, record_donor(heads, CAT, read=READ), read=READ, controls=False)
    assert found.patched[0, 1] == pytest.approx(plain_patch(tiny_lm, CAT, 1, 6, state), abs=1e-5)
