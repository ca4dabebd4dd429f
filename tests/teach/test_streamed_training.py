"""Training a streamed model gives the losses and the adapter of the model in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.streamed import stream_copy
from workbench.config import LoraSettings, TeachSettings
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.stream import spill
from workbench.stream.gates import LayerStream
from workbench.teach.examples import Example, TokenTarget
from workbench.teach.streamed_training import fits, trained_layers
from workbench.teach.training import train_adapter
from workbench.teach.training_forward import Passes, Reply
from workbench.trace.prefix_cache import PrefixCache
from workbench.trace.token_tree import TokenTree

MakeTiny = Callable[..., LanguageModel]
SYSTEM, END = tuple(range(100, 120)), (3, 4)
COUNT = 10
SETTINGS = TeachSettings(
    lora=LoraSettings(rank=2, alpha=8, dropout=0.0),
    start_layer=1,
    learning_rate=1e-2,
    epochs=1,
    batch_size=2,
    gradient_accumulation_steps=2,
    checkpoint_steps=2,
)


def examples() -> list[Example]:
    """Prompts of unequal length that begin and end with the same tokens, each with one token to
    be taught after it and one after that.
    """
    out = []
    for row in range(COUNT):
        prompt = (*SYSTEM, *range(20 + row, 23 + 2 * row), *END)
        taught = torch.softmax(torch.tensor([0.1 * row, 0.0]), 0).tolist()
        places = (
            TokenTarget(1.0, (60, 61), tuple(taught)),
            TokenTarget(1.0, (70 + row,), (1.0,)),
        )
        out.append(Example(prompt, TokenTree((60,), (-1,)), places))
    return out


def reply_of(lm: LanguageModel, rows: list[Example], most_bytes: int) -> Reply:
    prefixes = PrefixCache(most_bytes, 64, None)
    before = [example.prompt[: -len(END)] for example in rows]
    prefixes.fill(lm, range(COUNT), before, "reading up to the reply")
    return Reply(END, range(COUNT), prefixes)


def trained(
    lm: LanguageModel, folder: Path, settings: TeachSettings, scope: str, most_bytes: int = 10**9
) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    rows = examples()
    reply = None if scope == "conversation" else reply_of(lm, rows, most_bytes)
    _, log = train_adapter(lm, rows, settings, folder, seed=1, description="teach", reply=reply)
    return load_file(folder / "adapter" / "adapter_model.safetensors"), log


@pytest.fixture
def make_pair(make_tiny: MakeTiny, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    made: list[LayerStream] = []

    def make(
        family: str, most_waiting_bytes: int = 10**9
    ) -> tuple[LanguageModel, LanguageModel, LayerStream]:
        lm = make_tiny(family)
        streamed, stream = stream_copy(lm, tmp_path / "weights", most_waiting_bytes)
        made.append(stream)
        return lm, streamed, stream

    yield make
    for stream in made:
        stream.close()


def assert_same(found: Any, expected: Any) -> None:
    """To the bit, losses included."""
    assert [row["loss"] for row in found[1]] == [row["loss"] for row in expected[1]]
    assert [row["tokens"] for row in found[1]] == [row["tokens"] for row in expected[1]]
    assert found[0].keys() == expected[0].keys()
    for name, value in expected[0].items():
        assert torch.equal(found[0][name], value), name


@pytest.mark.parametrize("scope", ["conversation", "reply"])
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_layers_read_forward_and_back_give_the_adapter_of_those_in_memory(
    make_pair: Callable[..., Any], tmp_path: Path, scope: str, family: str
) -> None:
    lm, streamed, stream = make_pair(family)
    settings = SETTINGS.model_copy(update={"resident_bytes": 0})
    found = trained(streamed, tmp_path / "streamed", settings, scope)
    reads = dict(stream.weights.counts.reads)
    assert_same(found, trained(lm, tmp_path / "device", SETTINGS, scope))
    # Five batches in three steps. Layer 0 is read once for the states below the adapter, and with
    # all others once for the keys and values before a reply. A layer may be read ahead in vain.
    before = 2 if scope == "reply" else 1
    assert reads[0] <= before + 1
    for layer in range(1, lm.n_layers):
        assert 2 * 3 <= reads[layer] <= 2 * 3 + before + 1


@pytest.mark.parametrize("scope", ["conversation", "reply"])
def test_layers_that_fit_are_read_once(
    make_pair: Callable[..., Any], tmp_path: Path, scope: str
) -> None:
    lm, streamed, stream = make_pair("llama")
    found = trained(streamed, tmp_path / "streamed", SETTINGS, scope)
    assert stream.weights.counts.passes <= 3
    assert not any(stream.weights.is_filled(layer) for layer in range(lm.n_layers))
    assert not stream.resident
    assert_same(found, trained(lm, tmp_path / "device", SETTINGS, scope))


@pytest.mark.filterwarnings("ignore:Keys and values")
def test_what_finds_no_room_lies_in_files(
    make_pair: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """States between layers, states below the adapter, and keys and values before the reply."""
    monkeypatch.setattr(spill, "SMALLEST", 1)
    lm, streamed, stream = make_pair("llama", 0)
    cramped = SETTINGS.model_copy(update={"resident_bytes": 0, "activation_cache_bytes": 0})
    found = trained(streamed, tmp_path / "streamed", cramped, "reply", most_bytes=0)
    assert stream.spill.bytes_written > 0
    assert stream.weights.counts.reads[0] <= 3
    assert_same(found, trained(lm, tmp_path / "device", SETTINGS, "reply"))


def test_dropout_draws_what_it_draws_in_memory_in_steps_of_one_batch(
    make_pair: Callable[..., Any], tmp_path: Path
) -> None:
    lm, streamed, _ = make_pair("llama")
    settings = SETTINGS.model_copy(
        update={
            "lora": SETTINGS.lora.model_copy(update={"dropout": 0.2}),
            "gradient_accumulation_steps": 1,
        }
    )
    cramped = settings.model_copy(update={"resident_bytes": 0})
    found = trained(streamed, tmp_path / "streamed", cramped, "conversation")
    assert_same(found, trained(lm, tmp_path / "device", settings, "conversation"))


def test_an_adapter_from_the_first_layer_on_the_embedding_too(
    make_pair: Callable[..., Any], tmp_path: Path
) -> None:
    lm, streamed, _ = make_pair("llama")
    targets = ("q_proj", "down_proj")
    lora = SETTINGS.lora.model_copy(update={"target_modules": targets})
    settings = SETTINGS.model_copy(update={"start_layer": 0, "lora": lora})
    cramped = settings.model_copy(update={"resident_bytes": 0})
    found = trained(streamed, tmp_path / "streamed", cramped, "conversation")
    assert_same(found, trained(lm, tmp_path / "device", settings, "conversation"))


def test_the_bound_decides_what_stays_in_memory(make_pair: Callable[..., Any]) -> None:
    lm, streamed, stream = make_pair("llama")
    need = sum(p.numel() * 4 for layer in lm.layers()[2:] for p in layer.parameters())
    assert fits(stream, 2, need)
    assert not fits(stream, 2, need - 1)
    with trained_layers(streamed, 2, need) as read_each_step:
        assert not read_each_step
        assert stream.weights.is_filled(3)
    with trained_layers(streamed, 2, need - 1) as read_each_step:
        assert read_each_step
        assert not stream.weights.is_filled(3)
    with trained_layers(lm, 2, 0) as read_each_step:
        assert not read_each_step


def test_a_loss_with_passes_of_its_own_is_refused(
    make_pair: Callable[..., Any], tmp_path: Path
) -> None:
    _, streamed, _ = make_pair("llama")
    cramped = SETTINGS.model_copy(update={"resident_bytes": 0})
    with pytest.raises(WorkbenchError, match="makes passes of its own"):
        train_adapter(
            streamed, examples(), cramped, tmp_path,
            seed=1, description="teach", extra_tokens=[1] * COUNT,
        )  # fmt: skip


def test_prompts_here_begin_with_tokens_that_are_computed_once(make_tiny: MakeTiny) -> None:
    """What the tests above are to show holds for the pass over them too."""
    assert Passes(make_tiny(), examples(), None, 1, 10**9).shared == SYSTEM
