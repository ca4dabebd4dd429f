"""Models that are damaged, incomplete or none: each is one sentence that names the file and the
mend, and none takes long.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from workbench.api.prompts import encode_prompts
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel, Turn, encode

MakeGguf = Callable[..., Path]
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_folder, tmp_path / "model")


def _configure(folder: Path, name: str = "config.json", **changes: Any) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def _shard(folder: Path, left_out: str | None) -> None:
    """Two files and their index; one of them may be left out."""
    weights = load_file(folder / WEIGHTS)
    names = sorted(weights)
    parts = {
        "model-00001-of-00002.safetensors": names[::2],
        "model-00002-of-00002.safetensors": names[1::2],
    }
    for file, mine in parts.items():
        if file != left_out:
            save_file(
                {name: weights[name] for name in mine}, folder / file, metadata={"format": "pt"}
            )
    index = {
        "metadata": {},
        "weight_map": {name: file for file, mine in parts.items() for name in mine},
    }
    (folder / INDEX).write_text(json.dumps(index))
    (folder / WEIGHTS).unlink()


def _drop_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def _cut(name: str, size: int) -> Callable[[Path], object]:
    return lambda folder: os.truncate(folder / name, size)


def _write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _add_tokens(folder: Path, text: str, *, special: bool = False, **names: str) -> None:
    """Fill the tokenizer up to the size of the embedding, and add a token beyond it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"filler{n}x" for n in range(384 - len(tokenizer))])
    tokenizer.add_tokens([text], special_tokens=special)
    for name, token in names.items():
        setattr(tokenizer, name, token)
    tokenizer.save_pretrained(folder)


Q = "model.layers.1.self_attn.q_proj.weight"
HEADER = struct.pack("<Q", 10**18)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 3\n"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights cut": (_cut(WEIGHTS, 20_000), r"model\.safetensors is damaged .*: download it again"),
    "weights cut in the header": (_cut(WEIGHTS, 100), r"model\.safetensors is damaged"),
    "weights empty": (_cut(WEIGHTS, 0), r"model\.safetensors is empty: download it again"),
    "weights garbage": (_write(WEIGHTS, b"garbage" * 500), r"model\.safetensors is damaged"),
    "weights of an absurd header": (_write(WEIGHTS, HEADER + b"{}"), r"model\.safetensors is damaged"),
    "weights a pointer": (_write(WEIGHTS, POINTER), r"model\.safetensors is a pointer of Git LFS .*git lfs pull"),
    "weights a web page": (_write(WEIGHTS, b"<!DOCTYPE html>" * 9), r"model\.safetensors is damaged"),
    "weights missing": (lambda f: (f / WEIGHTS).unlink(), r"no safetensors weights \(pickled ones are never read\)"),
    "weights of another shape": (
        lambda f: _rewrite(f, lambda w: w.update({Q: torch.zeros(8, 32)})),
        "has weights of another shape than its configuration asks for",
    ),
    "weights of another width": (lambda f: _configure(f, hidden_size=64), "weights of another shape"),
    "weights not a number": (
        lambda f: _rewrite(f, lambda w: w[Q].fill_(float("nan"))),
        rf"computes NaN or infinity, because its weights {Q} hold such values: download",
    ),
    "weights infinite": (lambda f: _rewrite(f, lambda w: w[Q].fill_(float("inf"))), "computes NaN or infinity"),
    "one weight missing": (lambda f: _rewrite(f, lambda w: w.pop(Q)), rf"lacks weights .*{Q}"),
    "a shard missing": (
        lambda f: _shard(f, "model-00002-of-00002.safetensors"),
        r"model-00002-of-00002\.safetensors, which model\.safetensors\.index\.json lists, is missing: download",
    ),
    "index garbage": (lambda f: (_shard(f, None), (f / INDEX).write_text("{")), r"index\.json is damaged"),
    "config garbage": (_write("config.json", b"{"), r"config\.json is damaged .*: download it again"),
    "config empty": (_write("config.json", b""), r"config\.json is empty"),
    "config a list": (_write("config.json", b"[]"), r"config\.json holds no settings"),
    "config binary": (_write("config.json", bytes(range(256))), r"config\.json is damaged"),
    "config nested": (_write("config.json", b"[" * 100_000), r"config\.json is damaged"),
    "layers in words": (
        lambda f: _configure(f, num_hidden_layers="four"),
        r"config\.json .*num_hidden_layers = 'four', which must be a whole number from 1 to 10000",
    ),
    "no layers": (lambda f: _configure(f, num_hidden_layers=0), "num_hidden_layers = '0'"),
    "layers without end": (lambda f: _configure(f, num_hidden_layers=10**9), "num_hidden_layers = '1000000000'"),
    "layers below zero": (lambda f: _configure(f, num_hidden_layers=-4), "num_hidden_layers = '-4'"),
    "half a layer": (lambda f: _configure(f, num_hidden_layers=1.5), "num_hidden_layers = '1.5'"),
    "true layers": (lambda f: _configure(f, num_hidden_layers=True), "num_hidden_layers = 'True'"),
    "vocabulary without end": (lambda f: _configure(f, vocab_size=10**12), "vocab_size = '1000000000000'"),
    "no heads": (lambda f: _configure(f, num_attention_heads=0), "num_attention_heads = '0'"),
    "odd heads": (lambda f: _configure(f, num_attention_heads=5, head_dim=None), "cannot be loaded|another shape"),
    "unknown activation": (lambda f: _configure(f, hidden_act="wonder"), "cannot be loaded: .*wonder"),
    "unknown rope": (lambda f: _configure(f, rope_parameters={"rope_type": "wonder", "rope_theta": 1.0}), "cannot be loaded"),
    "no tokenizer": (_drop_tokenizer, r"the folder holds no tokenizer \(tokenizer\.json, tokenizer\.model, \.\.\.\): copy"),
    "tokenizer cut": (_cut("tokenizer.json", 3000), r"tokenizer\.json is damaged .*: download it again"),
    "tokenizer garbage": (_write("tokenizer.json", b"garbage"), r"tokenizer\.json is damaged"),
    "tokenizer empty": (_write("tokenizer.json", b""), r"tokenizer\.json is empty"),
    "tokenizer a pointer": (_write("tokenizer.json", POINTER), r"tokenizer\.json is a pointer of Git LFS"),
    "tokenizer settings garbage": (_write("tokenizer_config.json", b"{,"), r"tokenizer_config\.json is damaged"),
    "generation settings garbage": (_write("generation_config.json", b"{,"), r"generation_config\.json is damaged"),
    "end token outside": (
        lambda f: _configure(f, "generation_config.json", eos_token_id=[2, 128009]),
        r"ends replies with the token 128009 and the model embeds 384 tokens: correct eos_token_id",
    ),
    "end token below zero": (
        lambda f: _configure(f, "generation_config.json", eos_token_id=[-1]), "ends replies with the token -1"
    ),
    "end token in words": (lambda f: _configure(f, "generation_config.json", eos_token_id="two"), "eos_token_id|cannot be loaded"),
    "small vocabulary": (
        lambda f: (_configure(f, vocab_size=200), _rewrite(f, lambda w: w.update({
            name: w[name][:200].clone() for name in ("model.embed_tokens.weight", "lm_head.weight")}))),
        r"knows the token \d+ .* and the model embeds 200 tokens",
    ),
    "pad token outside": (
        lambda f: _add_tokens(f, "[PAD]", special=True, pad_token="[PAD]"),
        r"pads with '\[PAD\]', the token 384, and the model embeds 384 tokens: set pad_token in",
    ),
    "text token outside": (
        lambda f: _add_tokens(f, "zebra"),
        r"knows the token 384 \('zebra'\) and the model embeds 384 tokens: use the tokenizer that",
    ),
    "template that refuses one question": (
        _write("chat_template.jinja", b"{{ raise_exception('only tools') }}"),
        r"refuses the turns \(user\): only tools; correct the template",
    ),
    "template undefined": (
        _write("chat_template.jinja", b"{{ wonder() }}"), r"the chat template of '.*model' fails on the turns \(user\): UndefinedError"
    ),
    "template without end": (
        _write("chat_template.jinja", b"{{ 'x' * 3000000000 }}"), r"fails on the turns .*TooMuchError: it makes a value of more than"
    ),
    "template that loops": (
        _write("chat_template.jinja", b"{% for i in range(99999999) %}{% endfor %}"), r"fails on the turns .*TooMuchError"
    ),
    "template binary": (_write("chat_template.jinja", b"\xff\xfe\x00"), "cannot be loaded"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_is_one_sentence(folder: Path, name: str) -> None:
    damage, message = DAMAGES[name]
    damage(folder)
    with pytest.raises(WorkbenchError, match=message) as caught:
        load_model(str(folder), device="cpu")
    assert len(str(caught.value)) < 900
    assert "\n" not in str(caught.value)


def test_a_control_token_that_no_template_writes_does_no_harm(folder: Path) -> None:
    """A question that spells it is asked with ordinary tokens; a plain prompt with it is refused."""
    _add_tokens(folder, "<zebra>", special=True)
    lm = load_model(str(folder), device="cpu")
    asked = encode(lm.tokenizer, [Turn("user", "What is <zebra>?")])
    assert max(asked) < 384
    with pytest.raises(WorkbenchError, match=r"Prompt 0 holds a token id outside .* 384, 384"):
        encode_prompts(lm, "What is <zebra>?")


def test_every_end_token_that_is_embedded_is_taken(folder: Path) -> None:
    _configure(folder, "generation_config.json", eos_token_id=[2, 383])
    load_model(str(folder), device="cpu")


def test_two_shards_are_read(folder: Path) -> None:
    _shard(folder, None)
    load_model(str(folder), device="cpu")


SPECS: dict[str, tuple[str, str]] = {
    "nothing": ("", "is empty"),
    "spaces": ("  ", "is empty"),
    "long": ("x" * 5000, "xxx..."),
    "long path": ("/" + "x" * 5000, "cannot be read"),
    "NUL": ("mo\0del", "characters that cannot be printed"),
    "escape": ("\x1b[31mred", "characters that cannot be printed"),
    "line break": ("a\nb", "characters that cannot be printed"),
    "device": ("/dev/zero", "is neither a file nor a folder"),
    "null device": ("/dev/null", "is neither a file nor a folder"),
    "unknown user": ("~nobody-like-this/model", "cannot be read|there is no model"),
    "two slashes": ("a//b", "there is no model"),
    "spaces inside": ("my model", "neither as a local folder nor on the hub"),
    "option": ("--model", "neither as a local folder nor on the hub"),
    "address": ("https://huggingface.co/org/name", "there is no model at"),
    "emoji": ("🙂", "neither as a local folder nor on the hub"),
    "surrogate": ("\ud800", "characters that cannot be printed"),
    "text file": ("{tmp}/notes.txt", r"is not a \.gguf file"),
    "empty folder": ("{tmp}/empty", r"holds neither config\.json nor a \.gguf file"),
    "pipe": ("{tmp}/pipe.gguf", "is neither a file nor a folder"),
    "loop of links": ("{tmp}/loop", "cannot be read"),
    "part of a split file": (
        "{tmp}/big-00001-of-00002.gguf",
        "merge them first .*llama-gguf-split --merge",
    ),
    "folder of a split file": ("{tmp}/split", "merge them first"),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_name_that_is_no_model_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "split").mkdir()
    for file in (
        "notes.txt",
        "big-00001-of-00002.gguf",
        "split/m-00001-of-00002.gguf",
        "split/m-00002-of-00002.gguf",
    ):
        (tmp_path / file).write_bytes(b"GGUF")
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    spec, message = SPECS[name]
    with pytest.raises(WorkbenchError, match=message) as caught:
        load_model(spec.replace("{tmp}", str(tmp_path)), cache_dir=tmp_path / "cache")
    assert len(str(caught.value)) < 700


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps", "meta", "xpu", "hpu"])
def test_a_device_that_is_not_there_is_one_sentence(tiny_folder: Path, device: str) -> None:
    with pytest.raises(
        WorkbenchError,
        match=rf"^the device '{device}' cannot be used on this machine .*model.device to auto or cpu",
    ):
        load_model(str(tiny_folder), device=device)


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "cpu:-3", "cuda 0"])
def test_a_device_that_does_not_exist_is_one_sentence(tiny_folder: Path, device: str) -> None:
    with pytest.raises(WorkbenchError, match=r"unknown device|cannot be used on this machine"):
        load_model(str(tiny_folder), device=device)


def test_random_damage_to_a_safetensors_header_is_one_sentence_or_harmless(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    whole = (folder / WEIGHTS).read_bytes()
    header = 8 + struct.unpack("<Q", whole[:8])[0]

    @given(st.integers(0, header + 64), st.binary(max_size=12), st.booleans())
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    def check(at: int, put: bytes, cut: bool) -> None:
        (folder / WEIGHTS).write_bytes(whole[:at] + put + (b"" if cut else whole[at + len(put) :]))
        with suppress(WorkbenchError):
            load_model(str(folder), device="cpu")

    check()


def test_random_damage_to_a_gguf_file_is_one_sentence_or_harmless(
    make_gguf: MakeGguf, tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    whole = make_gguf(tmp_path / "whole.gguf", tiny_lm).read_bytes()
    path = tmp_path / "tiny.gguf"

    @given(st.integers(0, 9000), st.binary(max_size=12), st.booleans())
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    def check(at: int, put: bytes, cut: bool) -> None:
        path.write_bytes(whole[:at] + put + (b"" if cut else whole[at + len(put) :]))
        with suppress(WorkbenchError):
            load_model(str(path), device="cpu", cache_dir=tmp_path / "cache")
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)

    check()
