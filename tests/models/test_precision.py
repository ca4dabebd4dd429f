from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from workbench.config import LoraSettings
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import (
    LanguageModel,
    in_float32,
    model_arithmetic,
    resolve_precision,
    set_precision,
)
from workbench.models.bfloat16_products import bfloat16_arithmetic
from workbench.models.unembed import unembed
from workbench.teach.adapter import add_adapter, load_adapter, remove_adapter, save_adapter

MakeTiny = Callable[..., LanguageModel]
IDS = torch.arange(1, 13)[None]
FAMILIES = ("llama", "gpt2", "gemma2", "mixtral", "falcon_h1")


def logits(lm: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        return lm.base()(input_ids=IDS, use_cache=False).logits


def rounded(lm: LanguageModel) -> dict[str, torch.Tensor]:
    return {
        name: value
        for name, value in lm.base().state_dict().items()
        if value.dtype == torch.bfloat16
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_cast_once_give_what_autocast_gives_to_the_bit(
    make_tiny: MakeTiny, family: str
) -> None:
    lm = make_tiny(family)
    with bfloat16_arithmetic("cpu"):
        expected = logits(lm)
    exact = logits(lm)
    set_precision(lm, "bfloat16")
    assert torch.equal(logits(lm), expected)
    assert not torch.equal(exact, expected.float())
    assert torch.allclose(exact, expected.float(), atol=0.1 * float(exact.abs().max()))


ENTRANCES: dict[str, Callable[[LanguageModel], Any]] = {
    "the model": lambda lm: lm.base()(input_ids=IDS).logits,
    "its forward": lambda lm: lm.base().forward(input_ids=IDS).logits,
    "an adapter's wrapper": lambda lm: add_adapter(lm, LoraSettings()).model(input_ids=IDS).logits,
    "the decoder and the head": lambda lm: lm.head()(lm.decoder()(input_ids=IDS).last_hidden_state),
    "generation": lambda lm: lm.base().generate(IDS, max_new_tokens=2, do_sample=False, output_logits=True,
                                                return_dict_in_generate=True).logits[0],
    "a copy": lambda lm: copy.deepcopy(lm.base())(input_ids=IDS).logits,
}  # fmt: skip


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_pass_is_made_in_the_models_precision_whoever_begins_it(
    make_tiny: MakeTiny, entrance: str
) -> None:
    """Nothing around the call says so; generation returns float32 copies of what the head gave."""
    begin, lower = ENTRANCES[entrance], make_tiny()
    with bfloat16_arithmetic("cpu"), torch.no_grad():
        expected = begin(make_tiny()).float()
    set_precision(lower, "bfloat16")
    with torch.no_grad():
        assert torch.equal(begin(lower).float(), expected)
    assert not torch.is_autocast_enabled("cpu")


def test_so_is_a_pass_through_a_forward_that_another_library_put_on_it(make_tiny: MakeTiny) -> None:
    """As accelerate does for a device map: the method it calls was bound before."""
    with bfloat16_arithmetic("cpu"):
        expected = logits(make_tiny())
    lm = make_tiny()
    for module in (lm.base(), lm.decoder(), lm.head()):
        module.forward = module.forward
    set_precision(lm, "bfloat16")
    assert torch.equal(logits(lm), expected)


def test_an_inner_module_by_itself_needs_the_models_arithmetic(tiny_lm: LanguageModel) -> None:
    """Called without it the dtypes do not fit: no pass is made in another precision in silence."""
    set_precision(tiny_lm, "bfloat16")
    inner = tiny_lm.layers()[0].get_submodule("mlp.down_proj")
    states = torch.ones(1, inner.in_features)
    with pytest.raises(RuntimeError, match="same dtype"):
        inner(states)
    with model_arithmetic(tiny_lm):
        assert inner(states).dtype == torch.bfloat16
    set_precision(tiny_lm, "float32")
    with model_arithmetic(tiny_lm):
        assert inner(states).dtype == torch.float32


def test_no_weight_stands_beside_its_cast(tiny_lm: LanguageModel) -> None:
    before = tiny_lm.base().state_dict()
    whole = {name: value.clone() for name, value in before.items()}
    set_precision(tiny_lm, "bfloat16")
    own = rounded(tiny_lm)
    assert {name.rpartition(".")[0].rpartition(".")[2] for name in own} >= {"q_proj", "down_proj"}
    assert all(torch.equal(value, whole[name].to(torch.bfloat16)) for name, value in own.items())
    kept = {parameter.data_ptr() for parameter in tiny_lm.base().parameters()}
    tensors = {value.data_ptr() for value in tiny_lm.base().state_dict().values()}
    assert kept == tensors
    assert tiny_lm.embedding().weight.dtype == tiny_lm.dtype == torch.float32


def test_a_tied_head_and_trainable_weights_stay_in_float32(make_tiny: MakeTiny) -> None:
    lm = make_tiny(tie_word_embeddings=True)
    trained = lm.layers()[1].get_submodule("mlp.down_proj").weight
    trained.requires_grad_(True)
    set_precision(lm, "bfloat16")
    assert lm.head().weight is lm.embedding().weight
    assert {lm.embedding().weight.dtype, trained.dtype} == {torch.float32}


def test_float32_inside_a_block_is_that_of_the_rounded_weights_also_after_an_error(
    tiny_lm: LanguageModel,
) -> None:
    whole = {
        name: value.to(torch.bfloat16).float()
        for name, value in tiny_lm.base().state_dict().items()
    }
    set_precision(tiny_lm, "bfloat16")
    own, lower = rounded(tiny_lm), logits(tiny_lm)

    def fail_inside() -> None:
        with in_float32(tiny_lm):
            assert tiny_lm.precision == "float32"
            assert logits(tiny_lm).dtype == torch.float32
            state = tiny_lm.base().state_dict()
            assert all(torch.equal(state[name], whole[name]) for name in own)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_inside()
    assert tiny_lm.precision == "bfloat16"
    assert rounded(tiny_lm).keys() == own.keys()
    assert torch.equal(logits(tiny_lm), lower)


def test_float32_changes_nothing(tiny_lm: LanguageModel) -> None:
    expected, kinds = logits(tiny_lm), [type(module) for module in tiny_lm.base().modules()]
    set_precision(tiny_lm, "float32")
    with in_float32(tiny_lm):
        assert torch.equal(logits(tiny_lm), expected)
    assert [type(module) for module in tiny_lm.base().modules()] == kinds


def test_there_and_back_leaves_nothing_behind_but_the_rounding(tiny_lm: LanguageModel) -> None:
    modules = list(tiny_lm.base().modules())
    before = [(type(module), set(vars(module))) for module in modules]
    set_precision(tiny_lm, "bfloat16")
    set_precision(tiny_lm, "bfloat16")
    set_precision(tiny_lm, "float32")
    assert [(type(module), set(vars(module))) for module in modules] == before
    assert not rounded(tiny_lm)


def test_the_model_looks_as_before(tiny_lm: LanguageModel) -> None:
    model = tiny_lm.base()
    kind, signature = type(model), inspect.signature(model.forward)
    set_precision(tiny_lm, "bfloat16")
    assert isinstance(model, kind)
    assert (repr(type(model)), type(model).__name__) == (repr(kind), kind.__name__)
    assert inspect.signature(model.forward) == signature


def test_adapters_are_made_and_read_in_float32(make_tiny: MakeTiny, tmp_path: Path) -> None:
    """PEFT would give them the dtype of the matrices they stand on: their first values would be
    rounded.
    """
    found = []
    for precision in ("float32", "bfloat16"):
        lm = make_tiny()
        set_precision(lm, precision)  # type: ignore[arg-type]
        torch.manual_seed(0)
        tuned = add_adapter(lm, LoraSettings(rank=4))
        save_adapter(tuned, tmp_path / precision, None)
        again = load_adapter(remove_adapter(tuned), tmp_path / precision)
        found.append(
            {name: value for name, value in again.model.state_dict().items() if "lora_" in name}
        )
    assert found[0].keys() == found[1].keys()
    assert {value.dtype for value in found[1].values()} == {torch.float32}
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_a_model_is_loaded_in_the_precision_it_is_asked_for(tiny_folder: Path) -> None:
    assert load_model(str(tiny_folder), device="cpu").precision == "float32"
    lower = load_model(str(tiny_folder), device="cpu", precision="bfloat16")
    assert lower.precision == "bfloat16"
    assert rounded(lower)
    states = torch.ones(1, lower.width)
    assert unembed(lower, states).dtype == torch.float32
    with pytest.raises(
        WorkbenchError, match="unknown precision 'half': use one of auto, float32, bfloat16"
    ):
        load_model(str(tiny_folder), device="cpu", precision="half")  # type: ignore[arg-type]


def test_a_named_precision_is_taken_as_it_is() -> None:
    assert resolve_precision("float32", torch.device("cpu")) == "float32"
    assert resolve_precision("bfloat16", torch.device("cpu")) == "bfloat16"
    assert resolve_precision("auto", torch.device("cpu")) in ("float32", "bfloat16")
