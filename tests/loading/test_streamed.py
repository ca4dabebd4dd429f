from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from workbench.elicit.answer import Limits
from workbench.elicit.ask import Replies, ask_texts
from workbench.elicit.formats import format_named
from workbench.errors import WorkbenchError
from workbench.loading import load, load_model
from workbench.loading.streamed import require_streamable
from workbench.models import LanguageModel
from workbench.models.quantisation import METHODS, method_of
from workbench.models.quantise import SCHEMES
from workbench.stream.model import stream_of

MakeTiny = Callable[..., LanguageModel]
QUESTIONS = [f"What is {a} plus {b}?{' Really' * (a % 2)}" for a in range(3) for b in range(3)]
LIMITS = Limits(**{field.name: 5 for field in fields(Limits)})


def saved(lm: LanguageModel, folder: Path) -> str:
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return str(folder)


def ask(lm: LanguageModel) -> Replies:
    return ask_texts(
        lm,
        QUESTIONS,
        format_named("percent"),
        limits=LIMITS,
        tokens_per_forward=300,
        record=("confidence",),
    )


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2", "gpt2", "mixtral"])
def test_answers_scale_and_states_are_those_in_memory(
    make_tiny: MakeTiny, tmp_path: Path, family: str
) -> None:
    folder = saved(make_tiny(family), tmp_path / "model")
    options = {"device": "cpu", "precision": "float32", "cache_dir": tmp_path / "cache"}
    lm = load_model(folder, **options)
    streamed = load_model(folder, placement="stream", anew=True, **options)
    assert streamed.architecture == lm.architecture
    assert streamed.revision == lm.revision
    stream = stream_of(streamed)
    assert stream is not None
    before = dict(stream.weights.counts.reads)
    found, expected = ask(streamed), ask(lm)
    assert found.table.equals(expected.table)
    assert np.array_equal(found.distribution, expected.distribution)
    assert found.states is not None
    assert expected.states is not None
    assert np.array_equal(found.states, expected.states)
    reads = {layer: n - before.get(layer, 0) for layer, n in stream.weights.counts.reads.items()}
    # Answers of 5 tokens and a confidence of 1 pass and 4 more tokens at most, for all questions.
    # A layer may be read once more, ahead of a pass that ended below it or was not made.
    passes = min(reads.values())
    assert passes <= 5 + 5 + 1
    assert set(reads.values()) <= {passes, passes + 1}
    stream.close()


def test_what_was_verified_is_kept(
    make_tiny: MakeTiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved(make_tiny(), tmp_path / "model")
    options = {"device": "cpu", "placement": "stream", "cache_dir": tmp_path / "cache"}
    first = load_model(folder, **options)

    def fail(_: object) -> None:
        raise AssertionError("verified again")

    monkeypatch.setattr(load, "verify", fail)
    again = load_model(folder, **options)
    assert again.architecture == first.architecture
    stream = stream_of(again)
    assert stream is not None
    assert stream.weights.counts.reads == {}
    with pytest.raises(WorkbenchError, match="verified again"):
        # What first layers showed is not enough for a model in memory.
        load_model(folder, device="cpu", cache_dir=tmp_path / "cache")
    for lm in (first, again):
        found = stream_of(lm)
        assert found is not None
        found.close()


def test_what_cannot_be_streamed_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="quantised layers are not read one by one"):
        require_streamable("tiny", METHODS["gptq"], None, "float32")
    with pytest.raises(WorkbenchError, match="nf4 makes modules of its own"):
        require_streamable("tiny", None, SCHEMES["nf4"], "float32")
    with pytest.raises(WorkbenchError, match="multiplies in the dtype of its weights"):
        load_model(str(tiny_folder), device="cpu", placement="stream", precision="bfloat16")
    with pytest.raises(WorkbenchError, match=r"no folder .* to spill into"):
        load_model(
            str(tiny_folder), device="cpu", placement="stream", spill_folder=tmp_path / "none"
        )


def test_it_computes_in_the_dtype_that_is_asked_for(tiny_folder: Path) -> None:
    options = {"device": "cpu", "dtype": "bfloat16", "precision": "float32"}
    lm = load_model(str(tiny_folder), **options)
    streamed = load_model(str(tiny_folder), placement="stream", **options)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        expected, found = (m.base()(input_ids=ids, use_cache=False).logits for m in (lm, streamed))
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)
    stream = stream_of(streamed)
    assert stream is not None
    stream.close()


@pytest.mark.parametrize("scheme", ["int8", "int4"])
def test_layers_quantised_when_they_are_read_are_those_quantised_at_load(
    make_tiny: MakeTiny, tmp_path: Path, scheme: str
) -> None:
    pytest.importorskip("torchao")
    folder = saved(make_tiny(), tmp_path / "model")
    options = {"device": "cpu", "precision": "float32", "quantize": scheme}
    lm, streamed, plain = (
        load_model(folder, cache_dir=tmp_path / "cache", **kind)
        for kind in (options, {**options, "placement": "stream"}, {"device": "cpu"})
    )
    stream = stream_of(streamed)
    assert stream is not None
    assert method_of(streamed) == method_of(lm)
    assert streamed.revision == lm.revision
    with stream.filled(1):
        held = [model.layers()[1].self_attn.q_proj.weight for model in (streamed, lm)]
        assert type(held[0].data) is type(held[1].data)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        found, expected, other = (
            m.base()(input_ids=ids, use_cache=False).logits for m in (streamed, lm, plain)
        )
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(expected, other, atol=1e-4)
    stream.close()


def test_a_cached_hub_snapshot_is_read_as_a_folder_is(
    make_tiny: MakeTiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache holds blobs by their hash, and snapshots with links to them; weights in shards
    with an index; nothing else is asked for.
    """
    lm = make_tiny()
    commit, place = "0123456789abcdef0123456789abcdef01234567", tmp_path / "hub" / "models--a--tiny"
    for folder in ("blobs", "refs", f"snapshots/{commit}"):
        (place / folder).mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    whole = tmp_path / "whole"
    lm.model.save_pretrained(whole, max_shard_size="40KB")
    lm.tokenizer.save_pretrained(whole)
    assert len(list(whole.glob("*.safetensors"))) > 1
    for number, path in enumerate(sorted(whole.iterdir())):
        blob = place / "blobs" / f"{number:040x}"
        path.rename(blob)
        (place / "snapshots" / commit / path.name).symlink_to(blob)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    streamed = load_model("a/tiny", device="cpu", placement="stream", cache_dir=tmp_path / "cache")
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        found, expected = (m.base()(input_ids=ids, use_cache=False).logits for m in (streamed, lm))
    torch.testing.assert_close(found, expected, atol=5e-6, rtol=1e-6)
    assert streamed.revision == commit
    stream = stream_of(streamed)
    assert stream is not None
    stream.close()


def test_weights_lie_as_those_in_memory_do(tiny_folder: Path, tmp_path: Path) -> None:
    """Kernels add up in another order where a matrix begins elsewhere within a cache line, and
    single tokens then differ by rounding. Both ways map the same file, so both begin alike; a copy
    of one of them would not.
    """
    options = {"device": "cpu", "precision": "float32", "cache_dir": tmp_path / "cache"}
    lm = load_model(str(tiny_folder), **options)
    stream = stream_of(load_model(str(tiny_folder), placement="stream", **options))
    assert stream is not None
    names = {id(weight): name for name, weight in lm.model.named_parameters()}
    own = {names[id(weight)]: weight.data_ptr() % 64 for weight in lm.layers()[1].parameters()}
    weights, _ = stream.weights._read(1)
    assert own == {name: weight.data_ptr() % 64 for name, weight in weights.items()}
