from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

from tests.support.tiny_models import build_tokenizer
from workbench.config import LoraSettings
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, derive_architecture
from workbench.models.adapter_switch import adapter_off
from workbench.models.shrink import build
from workbench.models.unembed import unembed
from workbench.teach.adapter import (
    add_adapter,
    initialise_from,
    load_adapter,
    remove_adapter,
    save_adapter,
)
from workbench.teach.merged_adapter import adapter_merged
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts

MakeTiny = Callable[..., LanguageModel]
IDS = torch.arange(5, 35).reshape(2, 15)
SETTINGS = LoraSettings(
    rank=4, alpha=12, dropout=0.1, target_modules=("k_proj", "o_proj", "down_proj")
)


def logits(lm: LanguageModel) -> torch.Tensor:
    lm.model.eval()
    with torch.no_grad():
        return lm.model(input_ids=IDS, use_cache=False).logits


def randomise(lm: LanguageModel) -> None:
    generator = torch.Generator().manual_seed(4)
    for name, parameter in lm.model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2


def test_a_new_adapter_says_what_the_base_says_and_alone_is_trained(tiny_lm: LanguageModel) -> None:
    base = logits(tiny_lm)
    tuned = add_adapter(tiny_lm, SETTINGS)
    assert torch.equal(logits(tuned), base)
    trained = {
        name for name, parameter in tuned.model.named_parameters() if parameter.requires_grad
    }
    assert all("lora_A" in name or "lora_B" in name for name in trained)
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in trained} == set(
        SETTINGS.target_modules
    )
    assert len(trained) == 4 * len(SETTINGS.target_modules) * 2


def test_rank_and_alpha_are_the_settings(tiny_lm: LanguageModel) -> None:
    """The adapter adds alpha / rank times B A x to its module's output."""
    tuned = add_adapter(tiny_lm, SETTINGS)
    randomise(tuned)
    tuned.model.eval()
    module = tuned.base().model.layers[2].mlp.down_proj
    x = torch.randn(3, 64)
    a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
    assert tuple(a.shape) == (4, 64)
    torch.testing.assert_close(module(x), module.base_layer(x) + x @ a.T @ b.T * 12 / 4)


def test_switched_off_it_is_the_base_model(tiny_lm: LanguageModel) -> None:
    base = logits(tiny_lm)
    tuned = add_adapter(tiny_lm, SETTINGS)
    randomise(tuned)
    on = logits(tuned)
    assert (on - base).abs().max() > 0.1
    with adapter_off(tuned):
        assert torch.equal(logits(tuned), base)
    assert torch.equal(logits(tuned), on)
    with pytest.raises(KeyError), adapter_off(tuned):
        raise KeyError
    assert torch.equal(logits(tuned), on)


def test_merged_it_speaks_alike_and_leaves_no_trace(tiny_lm: LanguageModel) -> None:
    base = logits(tiny_lm)
    tuned = add_adapter(tiny_lm, SETTINGS)
    randomise(tuned)
    on = logits(tuned)
    with adapter_merged(tuned):
        torch.testing.assert_close(logits(tuned), on, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(logits(tiny_lm), on, rtol=1e-4, atol=1e-4)
    assert torch.equal(logits(tuned), on)
    with pytest.raises(KeyError), adapter_merged(tuned):
        raise KeyError
    assert torch.equal(logits(tuned), on)
    with adapter_off(tuned):
        assert torch.equal(logits(tuned), base)


def test_saved_adapters_are_plain_peft(make_tiny: MakeTiny, tmp_path: Path) -> None:
    tuned = add_adapter(make_tiny(), SETTINGS)
    randomise(tuned)
    tuned.model.save_pretrained(tmp_path)
    plain = PeftModel.from_pretrained(make_tiny().base(), tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(plain(input_ids=IDS, use_cache=False).logits, logits(tuned))
    loaded = load_adapter(make_tiny(), tmp_path)
    assert torch.equal(logits(loaded), logits(tuned))
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


def test_removed_it_leaves_the_base_model_as_it_was(tiny_lm: LanguageModel) -> None:
    base = logits(tiny_lm)
    names = [name for name, _ in tiny_lm.base().named_modules()]
    tuned = add_adapter(tiny_lm, SETTINGS)
    randomise(tuned)
    plain = remove_adapter(tuned)
    assert torch.equal(logits(plain), base)
    assert torch.equal(logits(tiny_lm), base)
    assert [name for name, _ in plain.model.named_modules()] == names
    again = add_adapter(plain, SETTINGS)
    assert torch.equal(logits(again), base)


def test_a_model_without_adapter_is_returned_as_it_is(tiny_lm: LanguageModel) -> None:
    assert remove_adapter(tiny_lm) is tiny_lm


def test_a_second_adapter_is_refused(tiny_lm: LanguageModel, tmp_path: Path) -> None:
    """Also through the handle on the base model, whose module the first adapter was put into."""
    tuned = add_adapter(tiny_lm, SETTINGS)
    tuned.model.save_pretrained(tmp_path)
    for lm in (tiny_lm, tuned):
        with pytest.raises(
            WorkbenchError, match="carries an adapter already; take it out with remove_adapter"
        ):
            add_adapter(lm, SETTINGS)
        with pytest.raises(WorkbenchError, match="carries an adapter already"):
            load_adapter(lm, tmp_path)
    load_adapter(remove_adapter(tuned), tmp_path)


def test_unknown_modules_are_named_with_those_there_are(tiny_lm: LanguageModel) -> None:
    settings = LoraSettings(target_modules=("k_proj", "c_fc", "dense"))
    with pytest.raises(
        WorkbenchError,
        match=r"llama model has no linear modules named c_fc, dense; .*k_proj.*q_proj",
    ):
        add_adapter(tiny_lm, settings)


def test_a_folder_without_adapter_is_named(tiny_lm: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=f"no adapter in {tmp_path}"):
        load_adapter(tiny_lm, tmp_path)


INVOCATION = (41, 42, 43)
PROMPTS = [
    [*range(5, 30), *INVOCATION],
    [60, 61, *INVOCATION],
    [*INVOCATION, 70, 71, 72, *INVOCATION],
]


def read_last(lm: LanguageModel, prompts: list[list[int]]) -> torch.Tensor:
    """Next-token logits as the passes of the workbench give them, rows padded together."""
    padded = pad_prompts(prompts, 0, lm.device)
    read = torch.full((len(prompts), 1), padded.columns - 1)
    return unembed(lm, forward(lm, padded, empty_tail(padded), read).final[:, 0])


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma3_text"])
def test_an_adapter_with_a_reach_is_plain_peft(
    make_tiny: MakeTiny, tmp_path: Path, family: str
) -> None:
    tuned = add_adapter(make_tiny(family), SETTINGS)
    randomise(tuned)
    save_adapter(tuned, tmp_path, INVOCATION)
    plain = PeftModel.from_pretrained(make_tiny(family).base(), tmp_path).eval()
    loaded = load_adapter(make_tiny(family), tmp_path)
    assert loaded.invocation_length == 3
    with torch.no_grad():
        expected = torch.stack(
            [plain(input_ids=torch.tensor([row])).logits[0, -1] for row in PROMPTS]
        )
        base = torch.stack(
            [
                make_tiny(family).base()(input_ids=torch.tensor([row])).logits[0, -1]
                for row in PROMPTS
            ]
        )
        without = [row[:-1] for row in PROMPTS[:2]]
        for row in without:
            untouched = make_tiny(family).base()(input_ids=torch.tensor([row])).logits
            assert torch.equal(plain(input_ids=torch.tensor([row])).logits, untouched)
    torch.testing.assert_close(read_last(loaded, PROMPTS), expected, rtol=1e-5, atol=1e-5)
    assert (expected - base).abs().max() > 0.05
    with adapter_off(loaded):
        torch.testing.assert_close(read_last(loaded, PROMPTS), base, rtol=1e-5, atol=1e-5)
    whole = make_tiny(family)
    tuned = add_adapter(whole, SETTINGS)
    randomise(tuned)
    assert (read_last(tuned, PROMPTS) - expected).abs().max() > 0.05


def test_saved_without_invocation_it_acts_on_every_token(
    make_tiny: MakeTiny, tmp_path: Path
) -> None:
    tuned = add_adapter(make_tiny(), SETTINGS)
    randomise(tuned)
    save_adapter(tuned, tmp_path, None)
    loaded = load_adapter(make_tiny(), tmp_path)
    assert loaded.invocation_length is None
    assert torch.equal(logits(loaded), logits(tuned))


def test_an_adapter_with_a_reach_cannot_be_merged(make_tiny: MakeTiny, tmp_path: Path) -> None:
    tuned = add_adapter(make_tiny(), SETTINGS)
    save_adapter(tuned, tmp_path, INVOCATION)
    loaded = load_adapter(make_tiny(), tmp_path)
    with pytest.raises(WorkbenchError, match="cannot be merged"), adapter_merged(loaded):
        pass
    assert remove_adapter(loaded).invocation_length is None


@pytest.mark.parametrize(
    ("family", "modules"), [("llama", ("k_proj", "down_proj")), ("gpt2", ("c_attn",))]
)
def test_an_adapter_from_a_layer_on_leaves_the_layers_below_alone(
    make_tiny: MakeTiny, family: str, modules: tuple[str, ...], tmp_path: Path
) -> None:
    """Also once it was saved and loaded by plain PEFT."""
    lm = make_tiny(family)
    tuned = add_adapter(lm, SETTINGS.model_copy(update={"target_modules": modules}), 2)
    names = {name for name, parameter in tuned.model.named_parameters() if parameter.requires_grad}
    layers = tuned.base().get_submodule(lm.architecture.layers)
    adapted = {
        index
        for index, layer in enumerate(layers)
        for name, _ in layer.named_parameters()
        if "lora_" in name
    }
    assert adapted == {2, 3}
    assert len(names) == 2 * 2 * len(modules)
    randomise(tuned)
    on = logits(tuned)
    save_adapter(tuned, tmp_path / "adapter", None)
    again = PeftModel.from_pretrained(make_tiny(family).base(), tmp_path / "adapter").eval()
    with torch.no_grad():
        assert torch.equal(again(input_ids=IDS, use_cache=False).logits, on)


@pytest.mark.parametrize("layer", [-1, 4])
def test_an_adapter_cannot_begin_outside_the_model(tiny_lm: LanguageModel, layer: int) -> None:
    with pytest.raises(
        WorkbenchError, match=rf"begin at layer {layer}; the model has layers 0 to 3"
    ):
        add_adapter(tiny_lm, SETTINGS, layer)


def test_a_head_tied_to_the_embedding_is_refused_with_the_reason(make_tiny: MakeTiny) -> None:
    settings = LoraSettings(rank=4, target_modules=("k_proj", "lm_head"))
    with pytest.raises(
        WorkbenchError,
        match=r"names lm_head, whose weights are those of model\.embed_tokens too .*leave it out",
    ):
        add_adapter(make_tiny(tie_word_embeddings=True), settings)
    add_adapter(make_tiny(tie_word_embeddings=False), settings)


def test_an_adapter_on_tied_weights_is_never_merged_into_them(make_tiny: MakeTiny) -> None:
    lm = make_tiny(tie_word_embeddings=True)
    tuned = lm.with_model(
        get_peft_model(
            lm.base(), LoraConfig(r=4, target_modules=["lm_head"], task_type="CAUSAL_LM")
        )
    )
    randomise(tuned)
    on = logits(tuned)
    with (
        pytest.raises(
            WorkbenchError, match="adapts lm_head, whose weights another module uses too"
        ),
        adapter_merged(tuned),
    ):
        pass
    assert torch.equal(logits(tuned), on)


def _saved(make_tiny: MakeTiny, folder: Path) -> None:
    tuned = add_adapter(make_tiny(), SETTINGS)
    randomise(tuned)
    save_adapter(tuned, folder, None)


def _rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "adapter_model.safetensors")
    change(weights)
    save_file(weights, folder / "adapter_model.safetensors")


def _configure(folder: Path, **changes: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


FIRST = "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights missing": (
        lambda f: (f / "adapter_model.safetensors").unlink(),
        r"lacks adapter_model\.safetensors",
    ),
    "weights empty": (
        lambda f: os.truncate(f / "adapter_model.safetensors", 0),
        r"adapter_model\.safetensors is damaged",
    ),
    "weights cut": (
        lambda f: os.truncate(f / "adapter_model.safetensors", 5000),
        r"adapter_model\.safetensors is damaged",
    ),
    "weights garbage": (
        lambda f: (f / "adapter_model.safetensors").write_bytes(b"x" * 999),
        "is damaged",
    ),
    "weights a folder": (
        lambda f: (
            (f / "adapter_model.safetensors").unlink(),
            (f / "adapter_model.safetensors").mkdir(),
        ),
        "lacks adapter_model",
    ),
    "not a number": (
        lambda f: _rewrite(f, lambda w: w[FIRST].fill_(float("nan"))),
        f"holds NaN or infinity in {FIRST}",
    ),
    "infinite": (
        lambda f: _rewrite(f, lambda w: w[FIRST][0].fill_(float("inf"))),
        "holds NaN or infinity",
    ),
    "a weight missing": (
        lambda f: _rewrite(f, lambda w: w.pop(FIRST)),
        "lacks weights that its adapter_config.json asks for",
    ),
    "a weight too many": (
        lambda f: _rewrite(f, lambda w: w.update({FIRST.replace("0", "9", 1): torch.zeros(4, 64)})),
        "has weights that this model has no place for",
    ),
    "another shape": (
        lambda f: _rewrite(f, lambda w: w.update({FIRST: torch.zeros(4, 65)})),
        "does not fit this model",
    ),
    "another rank": (lambda f: _configure(f, r=8), "does not fit this model"),
    "unknown modules": (
        lambda f: _configure(f, target_modules=["nope"]),
        "does not fit this model",
    ),
    "rank zero": (lambda f: _configure(f, r=0), "does not fit this model"),
    "another kind": (lambda f: _configure(f, peft_type="NOPE"), "does not fit this model"),
    "config garbage": (
        lambda f: (f / "adapter_config.json").write_text("{"),
        "adapter_config.json is damaged",
    ),
    "config empty": (
        lambda f: (f / "adapter_config.json").write_text(""),
        "adapter_config.json is damaged",
    ),
    "config a list": (
        lambda f: (f / "adapter_config.json").write_text("[]"),
        "adapter_config.json is damaged",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_adapter_is_one_sentence_and_leaves_the_model_as_it_was(
    make_tiny: MakeTiny, tmp_path: Path, name: str
) -> None:
    _saved(make_tiny, tmp_path)
    damage, message = DAMAGES[name]
    damage(tmp_path)
    lm = make_tiny()
    before = logits(lm)
    with pytest.raises(WorkbenchError, match=message):
        load_adapter(lm, tmp_path)
    assert torch.equal(logits(lm), before)
    add_adapter(lm, SETTINGS)


def test_a_damaged_beginning_is_refused(make_tiny: MakeTiny, tmp_path: Path) -> None:
    _saved(make_tiny, tmp_path)
    os.truncate(tmp_path / "adapter_model.safetensors", 5000)
    with pytest.raises(WorkbenchError, match="is damaged"):
        initialise_from(add_adapter(make_tiny(), SETTINGS), tmp_path)


def test_a_saved_adapter_says_no_folder_of_this_machine(
    tiny_lm: LanguageModel, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    tiny_lm.model.name_or_path = tiny_lm.model.config._name_or_path = str(
        tmp_path / "secret" / "model"
    )
    tuned = add_adapter(tiny_lm, LoraSettings(rank=2))
    save_adapter(tuned, tmp_path / "adapter", None)
    assert not [warning for warning in recwarn if "config file" in str(warning.message)]
    for path in (tmp_path / "adapter").iterdir():
        assert b"secret" not in path.read_bytes()
    assert (
        json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())[
            "base_model_name_or_path"
        ]
        == "model"
    )
    remove_adapter(tuned)
    assert load_adapter(tiny_lm, tmp_path / "adapter").model.active_peft_config.r == 2
    assert not [warning for warning in recwarn if "config file" in str(warning.message)]


def test_modules_for_images_get_no_adapter() -> None:
    model = build("gemma3", 0, "sdpa", whole=True)
    row = derive_architecture(model)
    lm = LanguageModel(model, build_tokenizer("digits"), row, "gemma3", "gemma3")
    tuned = add_adapter(lm, LoraSettings(rank=2, target_modules=("q_proj", "v_proj")))
    adapted = {name for name, part in tuned.base().named_modules() if isinstance(part, LoraLayer)}
    inside = f"{row.layers}."
    assert adapted == {
        f"{inside}{layer}.self_attn.{name}" for layer in range(4) for name in ("q_proj", "v_proj")
    }
    names = [name for name, _ in model.named_modules()]
    assert any("vision_tower" in name and name.endswith("q_proj") for name in names)
