"""Numbers of the users' interface against plain hooks of Hugging Face's own forward, written here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.plain_hooks import READ, plain_patch, plain_states
from workbench.api.donors import Ablation, Noise, Vector
from workbench.api.patching import patch_map, sweep
from workbench.elicit.formats import FORMATS
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

CAT, DOG, DOGGY = "What is the cat", "What is the dog", "What is the doggy"


def test_a_sweep_is_plain_hooks_layer_by_layer(tiny_lm: LanguageModel) -> None:
    donor = plain_states(tiny_lm, DOG)
    found = sweep(tiny_lm, CAT, donor=DOG, read=READ)
    wanted = [plain_patch(tiny_lm, CAT, layer, 6, donor[layer][6]) for layer in range(4)]
    assert found.layers == (0, 1, 2, 3)
    assert found.patched[0] == pytest.approx(wanted, abs=1e-5)
    assert found.donor is not None
    assert found.patched[0, 3] == pytest.approx(found.donor[0], abs=1e-5)
    assert found.patched[0, 0] != pytest.approx(found.base[0], abs=1e-3)


def test_a_map_is_plain_hooks_cell_by_cell(tiny_lm: LanguageModel) -> None:
    prompts, donors = [CAT, "What is the hen"], [DOG, "What is the cow"]
    reads = [("x", "y"), ("z", "x")]
    found = patch_map(tiny_lm, prompts, donor=donors, read=reads)
    assert [axis.name for axis in found.axes] == ["layer", "position"]
    assert found.axes[1].labels[:3] == ("0 What", "1 is", "2 the")
    for row, (text, other, read) in enumerate(zip(prompts, donors, reads, strict=True)):
        states = plain_states(tiny_lm, other)
        for layer in range(4):
            for token in (0, 4, 6):
                wanted = plain_patch(tiny_lm, text, layer, token, states[layer][token], read)
                assert found.patched[row, layer, token] == pytest.approx(wanted, abs=1e-5)


def test_prompts_of_different_length_are_patched_by_name(tiny_lm: LanguageModel) -> None:
    states = plain_states(tiny_lm, DOGGY)
    at = {"animal": ("cat", "dog"), "verb": " is"}
    found = patch_map(tiny_lm, CAT, donor=DOGGY, read=READ, at=at)
    assert found.axes[1].labels == ("animal", "verb")
    for layer in range(4):
        wanted = [
            plain_patch(tiny_lm, CAT, layer, 6, states[layer][6]),
            plain_patch(tiny_lm, CAT, layer, 1, states[layer][1]),
        ]
        assert found.patched[0, layer] == pytest.approx(wanted, abs=1e-5)
    back = sweep(tiny_lm, DOGGY, donor=CAT, read=READ, at={"animal": ("doggy", "cat")})
    own = plain_states(tiny_lm, CAT)
    assert back.patched[0, 1] == pytest.approx(
        plain_patch(tiny_lm, DOGGY, 1, 8, own[1][6]), abs=1e-5
    )


@pytest.mark.parametrize(
    "options",
    [
        {"over": ("layer", "position")},
        {"over": ("layer", "head")},
        {"over": ("head",), "layers": [1, 2], "at": ["the", "last"]},
        {"over": ("layer", "head"), "component": "queries"},
        {"over": ("head", "position"), "component": "keys"},
        {"over": ("layer", "head", "position"), "component": "values", "layers": [0, 2]},
        {"over": ("layer", "neuron"), "neuron_window": 20, "at": ["the", "last"]},
        {"over": ("layer",), "component": ("values", "neurons", "resid_mid"), "at": "the"},
        {"over": ("component", "layer"), "component": ("attn_out", "mlp_out", "resid_mid")},
        {"over": ("layer",), "window": 2, "at": [1, "last"]},
        {"over": ("layer", "component", "position"), "tokens_per_forward": 64},
        {"over": ("position",), "layers": [0, 3], "component": ("heads", "mlp_out")},
    ],
)
def test_packed_equals_the_loop(tiny_lm: LanguageModel, options: dict[str, Any]) -> None:
    prompts, donors = [CAT, "What is the hen"], [DOG, "What is the cow"]
    packed, loop = (
        patch_map(tiny_lm, prompts, donor=donors, read=READ, backend=name, **options)
        for name in ("packed", "loop")
    )
    assert packed.patched.shape == loop.patched.shape
    assert np.ptp(loop.patched) > 1e-2
    for part in packed.conditions:
        assert part.patched == pytest.approx(loop.condition(part.name).patched, abs=1e-4)


@pytest.mark.parametrize("name", ["nnsight", "transformer-lens"])
def test_other_libraries_give_the_same_answers(tiny_lm: LanguageModel, name: str) -> None:
    given: dict[str, Any] = {"donor": DOGGY, "at": {"animal": ("cat", "doggy"), "end": "last"}}
    for read in (READ, FORMATS["percent"]):
        packed, other = (
            patch_map(tiny_lm, CAT, read=read, layers=[0, 2], backend=engine, **given)
            for engine in ("packed", name)
        )
        for part in packed.conditions:
            assert other.condition(part.name).patched == pytest.approx(part.patched, abs=1e-4)


def test_the_whole_confidence_is_patched_at_the_end(tiny_lm: LanguageModel) -> None:
    """A patch behind the last layer takes the number's further tokens with it, so the donor's
    distribution is read.
    """
    found = sweep(tiny_lm, CAT, donor=DOGGY, read=FORMATS["percent"])
    assert found.read == "expected confidence"
    assert found.donor is not None
    assert found.patched[0, 3] == pytest.approx(found.donor[0], abs=1e-6)
    assert abs(found.donor[0] - found.base[0]) > 1e-4


def test_another_model_is_a_donor(
    tiny_lm: LanguageModel, make_tiny: Callable[..., LanguageModel]
) -> None:
    other = make_tiny(seed=1)
    states = plain_states(other, CAT)
    found = sweep(tiny_lm, CAT, donor=other, read=READ)
    wanted = [plain_patch(tiny_lm, CAT, layer, 6, states[layer][6]) for layer in range(4)]
    assert found.patched[0] == pytest.approx(wanted, abs=1e-5)


def test_ablations_noise_and_vectors(tiny_lm: LanguageModel) -> None:
    states = {text: plain_states(tiny_lm, text) for text in (CAT, DOG)}
    vector = torch.linspace(-1, 1, 32)
    own = states[CAT][2][6]
    wanted = {
        "zero": (Ablation("zero"), torch.zeros(32)),
        "mean": (Ablation("mean"), states[DOG][2][6]),
        "vector": (Vector(vector), vector),
        "array": (vector.numpy(), vector),
        "added": (Vector(vector, "add"), own + vector),
    }
    for donor, value in wanted.values():
        found = sweep(tiny_lm, [CAT, DOG], donor=donor, read=READ, controls=False)
        assert found.donor is None
        assert found.patched[0, 2] == pytest.approx(
            plain_patch(tiny_lm, CAT, 2, 6, value), abs=1e-5
        )
        assert found.summary()["shift"].isna().all()
    loud, quiet, none = (
        sweep(tiny_lm, CAT, donor=Noise(scale), read=READ, controls=False).patched
        for scale in (3.0, 1e-3, 0.0)
    )
    base = sweep(tiny_lm, CAT, donor=DOG, read=READ, controls=False).base
    assert none[0] == pytest.approx([base[0]] * 4, abs=1e-5)
    assert np.abs(quiet - none).max() < 0.05 * np.abs(loud - none).max()


def test_a_planted_mechanism_is_found(tiny_lm: LanguageModel) -> None:
    """Layer 2's MLP alone is given the power to write: what it adds at the last token decides the
    readout, and only what stands there from layer 2 on, or in its input, moves it.
    """
    layers = tiny_lm.layers()
    with torch.no_grad():
        for index, layer in enumerate(layers):
            layer.self_attn.o_proj.weight.zero_()  # type: ignore[union-attr]
            if index != 2:
                layer.mlp.down_proj.weight.zero_()  # type: ignore[union-attr]
            else:
                layer.mlp.down_proj.weight.mul_(5.0)  # type: ignore[union-attr]
    found = patch_map(
        tiny_lm,
        CAT,
        donor=DOG,
        read=READ,
        over=("component", "layer", "position"),
        component=("attn_out", "mlp_out"),
    )
    moved = np.abs(found.patched[0] - found.base[0])
    assert moved[1, 2, 6] > 1e-2
    moved[1, 2, 6] = 0.0
    assert moved.max() < 1e-5


def test_controls_stand_beside_the_effect(tiny_lm: LanguageModel) -> None:
    found = sweep(tiny_lm, [CAT, DOG], donor=[DOG, CAT], read=READ)
    roles = [(part.name, part.role) for part in found.conditions]
    assert roles == [
        ("donor", "effect"),
        ("random_vector", "control"),
        ("random_position", "control"),
        ("own_state", "floor"),
    ]
    assert found.noise_floor < 1e-5
    # Both animals have three letters of their own; behind the last layer no other token is read.
    assert found.condition("random_position").patched[:, 3] == pytest.approx(found.base, abs=1e-5)
    noise = found.condition("random_vector").patched
    assert noise != pytest.approx(found.patched, abs=1e-3)
    again = sweep(tiny_lm, [CAT, DOG], donor=[DOG, CAT], read=READ)
    assert again.condition("random_vector").patched == pytest.approx(noise)
    bare = sweep(tiny_lm, [CAT, DOG], donor=[DOG, CAT], read=READ, controls=False)
    assert [part.name for part in bare.conditions] == ["donor"]
    assert np.isnan(bare.noise_floor)
    assert bare.patched == pytest.approx(found.patched, abs=1e-5)


def test_a_prompt_too_short_for_a_random_position_is_named(tiny_lm: LanguageModel) -> None:
    """Two tokens, the last of them patched and so none left where the donor's one is the same."""
    with pytest.warns(UserWarning, match=r"left out: 1 of 2 prompts, the first of them number 1"):
        found = sweep(tiny_lm, [CAT, "x"], donor=[DOG, "y"], read=READ)
    assert [part.name for part in found.conditions] == ["donor", "random_vector", "own_state"]


def test_single_neurons_have_no_random_vector(tiny_lm: LanguageModel) -> None:
    """A random direction of one number is the donor's own every second time."""
    given: dict[str, Any] = {"donor": DOG, "read": READ, "over": ("neuron",), "layers": [1]}
    alone = patch_map(tiny_lm, CAT, at=["the", "last"], **given)
    assert "random_vector" not in [part.name for part in alone.conditions]
    wide = patch_map(tiny_lm, CAT, at=["the", "last"], neuron_window=16, **given)
    assert "random_vector" in [part.name for part in wide.conditions]


def test_controls_are_read_at_a_few_layers(make_tiny: Callable[..., LanguageModel]) -> None:
    deep = make_tiny(num_hidden_layers=8)
    found = patch_map(deep, CAT, donor=DOG, read=READ)
    shapes = {part.name: part.patched.shape for part in found.conditions}
    # Every token is patched, so there is no other token for a random one.
    assert shapes == {
        "donor": (1, 8, 7),
        "random_vector": (1, 8, 7),
        "own_state": (1, 6, 7),
    }
    assert found.condition("own_state").axes[0].labels == (0, 1, 3, 4, 6, 7)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"read": None}, "Say what is read"),
        ({"read": ("cat", "dog")}, "read='cat' is 3 tokens"),
        ({"at": "cow"}, "'cow' does not occur in prompt 0"),
        ({"at": "t"}, "'t' occurs 3 times"),
        ({"donor": DOGGY, "at": 3}, "an index means another place in each"),
        ({"donor": CAT}, "Donor and prompt are the same tokens"),
        ({"donor": [DOG, DOG]}, "There are 2 donor prompts for 1 prompts"),
        ({"donor": None}, "A patch needs a donor"),
        ({"donor": ""}, "Prompt 0 is empty"),
        ({"prompts": ""}, "Prompt 0 is empty"),
        ({"donor": Vector([1.0, 2.0])}, "The vector to write has shape .2."),
        ({"donor": Ablation("mean")}, "needs at least two prompts"),
        (
            {"backend": "jax"},
            "Unknown engine 'jax'; use one of packed, loop, nnsight, transformer-lens, ndif",
        ),
        ({"layers": [9]}, "give some of 0 to 3, or 'all'"),
        ({"component": "mlp"}, "A component is one of resid_pre"),
        ({"window": 5}, "A window holds 1 to 4 of the layers"),
    ],
)
def test_bad_input_is_named_with_its_mend(
    tiny_lm: LanguageModel, options: dict[str, Any], said: str
) -> None:
    given = {"prompts": CAT, "donor": DOG, "read": READ} | options
    with pytest.raises(WorkbenchError, match=said):
        sweep(tiny_lm, **given)


def test_axes_are_named_once_and_known(tiny_lm: LanguageModel) -> None:
    for over in ((), ("layer", "layer"), ("token",)):
        with pytest.raises(WorkbenchError, match="A map runs over some of layer, position"):
            patch_map(tiny_lm, CAT, donor=DOG, read=READ, over=over)
    with pytest.raises(
        WorkbenchError, match="A map over heads patches one of heads, queries, keys, values alone"
    ):
        patch_map(tiny_lm, CAT, donor=DOG, read=READ, over=("head",), component="mlp_out")


def test_two_models_of_different_width_are_refused(
    tiny_lm: LanguageModel, make_tiny: Callable[..., LanguageModel]
) -> None:
    wide = make_tiny(hidden_size=64)
    with pytest.raises(WorkbenchError, match=r"layers of width 64.*of width 32"):
        sweep(tiny_lm, CAT, donor=wide, read=READ)
    with pytest.raises(WorkbenchError, match="the patched model itself"):
        sweep(tiny_lm, CAT, donor=tiny_lm, read=READ)
    deep = make_tiny(num_hidden_layers=5)
    with pytest.raises(WorkbenchError, match=r"has 5 layers of width 32, the patched one 4 layers"):
        sweep(tiny_lm, CAT, donor=deep, read=READ)
