from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.stream.checkpoint_names import parameter_sources
from workbench.stream.stored_tensors import stored_tensors

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize("family", ["llama", "mixtral", "qwen3_moe", "gpt2", "phi3"])
def test_every_parameter_is_made_of_its_stored_tensors(
    make_tiny: MakeTiny, tmp_path: Path, family: str
) -> None:
    """Experts are stored one by one and joined into one parameter."""
    model = make_tiny(family).model
    model.save_pretrained(tmp_path)
    sources = parameter_sources(model, stored_tensors(tmp_path), family)
    made = {}
    for source in sources:
        made |= source.parameters(model, lambda part: part.map())
    own = model.state_dict()
    tied = model.all_tied_weights_keys
    assert {*made, *tied} >= set(own)
    for name, value in made.items():
        torch.testing.assert_close(value, own[name], rtol=0, atol=0)
    joined = [source for source in sources if source.join is not None]
    assert bool(joined) == (family in ("mixtral", "qwen3_moe"))


def test_names_without_the_models_prefix_are_found(make_tiny: MakeTiny, tmp_path: Path) -> None:
    model = make_tiny("gpt2").model
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    bare = {key.removeprefix("transformer."): value for key, value in load_file(path).items()}
    save_file(bare, path)
    sources = parameter_sources(model, stored_tensors(tmp_path), "gpt2")
    assert {source.name for source in sources} >= {"transformer.h.0.attn.c_attn.weight"}


def test_missing_and_misshapen_weights_are_named(make_tiny: MakeTiny, tmp_path: Path) -> None:
    model = make_tiny().model
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    name = "model.layers.2.mlp.up_proj.weight"
    save_file({key: value for key, value in weights.items() if key != name}, path)
    with pytest.raises(WorkbenchError, match=f"'tiny' lacks weights .*{name}"):
        parameter_sources(model, stored_tensors(tmp_path), "tiny")
    save_file({**weights, name: torch.ones(3, 3)}, path)
    with pytest.raises(WorkbenchError, match=f"another shape .{name}"):
        parameter_sources(model, stored_tensors(tmp_path), "tiny")
