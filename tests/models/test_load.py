from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub import errors as hub_errors

from workbench.config import RunConfig, load_config
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, Turn, load, load_model, render
from workbench.models.chat_template import DEFAULT_DATE
from workbench.models.fingerprint import fingerprint_folder

MINE = (
    "{% for message in messages %}{{ message.role + ':' + message.content + ';' }}{% endfor %}{{ "
    "'assistant:' if add_generation_prompt }}"
)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return shutil.copytree(tiny_folder, tmp_path / "model")


def test_a_folder_gives_the_model_that_was_saved(tiny_folder: Path, tiny_lm: LanguageModel) -> None:
    lm = load_model(str(tiny_folder), device="cpu")
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert torch.equal(lm.base()(input_ids=ids).logits, tiny_lm.base()(input_ids=ids).logits)
    assert (lm.name, lm.revision) == (str(tiny_folder), fingerprint_folder(tiny_folder))
    assert not lm.model.training
    assert not any(parameter.requires_grad for parameter in lm.model.parameters())
    assert lm.tokenizer.padding_side == "left"
    assert lm.tokenizer.get_vocab() == tiny_lm.tokenizer.get_vocab()
    assert lm.base().config._attn_implementation == "sdpa"


def test_loading_is_silent(tiny_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(str(tiny_folder), device="cpu")
    assert capfd.readouterr() == ("", "")


def test_dtype_and_attention_are_taken(tiny_folder: Path) -> None:
    lm = load_model(str(tiny_folder), dtype="bfloat16", device="cpu", attention="eager")
    assert lm.dtype == torch.bfloat16
    assert lm.base().config._attn_implementation == "eager"


def test_a_family_that_loses_a_term_under_sdpa_runs_eager(
    make_tiny: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    lm = make_tiny("gemma2")
    lm.model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    assert load_model(str(tmp_path), device="cpu").base().config._attn_implementation == "eager"


def test_a_missing_pad_token_becomes_the_end_token(folder: Path) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert load_model(str(folder), device="cpu").tokenizer.pad_token == "<|im_end|>"


def test_a_gguf_file_loads_by_path_and_by_folder(
    make_gguf: Callable[..., Path], tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    place = tmp_path / "models"
    place.mkdir()
    path = make_gguf(place / "tiny.gguf", tiny_lm)
    by_path = load_model(str(path), device="cpu", cache_dir=tmp_path / "cache")
    by_folder = load_model(str(place), device="cpu", cache_dir=tmp_path / "cache")
    assert by_path.revision == by_folder.revision
    assert (
        len([path for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")]) == 1
    )
    shutil.copy(path, place / "second.gguf")
    with pytest.raises(
        WorkbenchError, match=r"several GGUF files \(second.gguf, tiny.gguf\): give the path of one"
    ):
        load_model(str(place), cache_dir=tmp_path / "cache")


def test_a_chat_template_can_be_given(folder: Path, tmp_path: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(
        WorkbenchError, match=r"no chat template.*instruct version.*chat_template=FILE"
    ):
        load_model(str(folder), device="cpu")
    template = tmp_path / "mine.jinja"
    template.write_text(MINE)
    lm = load_model(str(folder), device="cpu", chat_template=template)
    assert lm.tokenizer.chat_template == MINE
    assert lm.revision.startswith(fingerprint_folder(folder) + "+template-")
    with pytest.raises(WorkbenchError, match="there is no chat template at"):
        load_model(str(folder), device="cpu", chat_template=tmp_path / "missing.jinja")


def _change_config(folder: Path, **changes: Any) -> None:
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, **changes}))


def test_unknown_families_are_refused_before_weights_are_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    _change_config(folder, model_type="opt")
    with pytest.raises(
        WorkbenchError, match=r"family 'opt' is unknown to the workbench: add a row"
    ):
        load_model(str(folder))
    _change_config(folder, model_type="unheard_of")
    with pytest.raises(WorkbenchError, match="upgrade transformers"):
        load_model(str(folder))


def test_a_models_own_code_is_not_run_unasked(folder: Path) -> None:
    _change_config(folder, model_type="unheard_of", auto_map={"AutoConfig": "own.Config"})
    with pytest.raises(
        WorkbenchError, match=r"say that you trust it \(--set model.trust_remote_code=true;"
    ):
        load_model(str(folder))


def test_pickled_weights_are_not_read(folder: Path) -> None:
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        WorkbenchError, match=r"no safetensors weights \(pickled ones are never read\)"
    ):
        load_model(str(folder))


def test_missing_weights_are_not_made_up(folder: Path) -> None:
    _change_config(folder, num_hidden_layers=5)
    with pytest.raises(WorkbenchError, match=r"lacks weights.*model\.layers\.4"):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("./nowhere", "there is no model at './nowhere'"),
        ("missing.gguf", "there is no model at 'missing.gguf'"),
        ("{tmp}/empty", "holds neither config.json nor a .gguf file"),
        ("{tmp}/adapter", "holds an adapter, not a model"),
        ("{tmp}/notes.txt", "is not a .gguf file"),
    ],
)
def test_places_without_a_model(tmp_path: Path, spec: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(WorkbenchError, match=message):
        load_model(spec.format(tmp=tmp_path))


def test_arguments_are_checked(tiny_folder: Path) -> None:
    with pytest.raises(
        WorkbenchError, match="unknown dtype 'float8': use one of auto, float32, bfloat16, float16"
    ):
        load_model(str(tiny_folder), dtype="float8")
    with pytest.raises(WorkbenchError, match="unknown device 'gpu'"):
        load_model(str(tiny_folder), device="gpu")
    with pytest.raises(WorkbenchError, match="is local and has no revision"):
        load_model(str(tiny_folder), revision="main")


_RESPONSE: Any = SimpleNamespace(headers={}, request=None)


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (
            hub_errors.LocalEntryNotFoundError("offline"),
            r"hub cannot be reached.*local folder, run once online.*HF_HOME",
        ),
        (hub_errors.OfflineModeIsEnabled("offline"), "hub cannot be reached"),
        (
            hub_errors.RepositoryNotFoundError("404", response=_RESPONSE),
            "neither as a local folder nor on the hub",
        ),
        (hub_errors.HFValidationError("bad id"), "neither as a local folder nor on the hub"),
        (
            hub_errors.GatedRepoError("403", response=_RESPONSE),
            r"is gated: accept its terms.*hf auth login",
        ),
        (hub_errors.RevisionNotFoundError("404", response=_RESPONSE), "no such revision"),
        (None, "cannot be loaded: something else"),
    ],
)
def test_the_hubs_errors_name_their_mend(
    monkeypatch: pytest.MonkeyPatch, cause: Exception | None, message: str
) -> None:
    def fail(*_args: Any, **_options: Any) -> None:
        raise OSError("something else\nsecond line") from cause

    monkeypatch.setattr(load.AutoConfig, "from_pretrained", fail)
    with pytest.raises(WorkbenchError, match=message):
        load_model("some/model")


def test_the_date_a_template_writes_is_the_one_given(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ strftime_now('%d %B %Y') }}|" + MINE)
    turns = [Turn("user", "Who?")]
    assert (
        render(load_model(str(folder), device="cpu").tokenizer, turns)
        == "01 January 2025|user:Who?;assistant:"
    )
    lm = load_model(str(folder), device="cpu", day=date(2024, 2, 29))
    assert render(lm.tokenizer, turns) == "29 February 2024|user:Who?;assistant:"
    assert RunConfig().model.date == DEFAULT_DATE


@pytest.mark.parametrize(
    "given",
    [
        "2025-13-01",
        "2025-1-1",
        "today",
        "2025-01-01T00:00:00",
        "",
        0,
        1735689600,
        True,
        None,
        2025.5,
    ],
)
def test_a_date_in_another_form_is_refused(given: object) -> None:
    with pytest.raises(WorkbenchError, match=r"model\.date"):
        load_config(None, {"model.date": given})


def test_dates_are_taken_as_yaml_and_json_read_them(tmp_path: Path) -> None:
    for text in (
        "model: {date: 2024-02-29}",
        'model: {date: "2024-02-29"}',
        '{"model": {"date": "2024-02-29"}}',
    ):
        (tmp_path / "c.yaml").write_text(text)
        assert load_config(tmp_path / "c.yaml").model.date == date(2024, 2, 29)


def test_what_a_template_needed_is_said(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(
        MINE.replace("'assistant:'", "'assistant:<think>\\n'")
    )
    with pytest.warns(
        UserWarning,
        match=r"model: The chat template's generation prompt is completed by '\\n</think>",
    ):
        lm = load_model(str(folder), device="cpu")
    assert len(lm.notes) == 1
    assert lm.with_model(lm.model).notes == lm.notes
