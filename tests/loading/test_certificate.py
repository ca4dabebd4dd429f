from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

import workbench.loading.load
from workbench.loading import certificate, load_model
from workbench.loading.certificate import certificate_path, read_certificate, write_certificate
from workbench.models import LanguageModel


def test_a_certificate_gives_back_the_architecture(tiny_lm: LanguageModel, tmp_path: Path) -> None:
    row = replace(
        tiny_lm.architecture,
        missing=MappingProxyType({"neuron": "why"}),
        packable=False,
        why_not="x",
        final_norm=None,
        logit_softcap=30.0,
    )
    place = certificate_path(tiny_lm.base(), tiny_lm.tokenizer, "r", tmp_path)
    assert read_certificate(place) is None
    write_certificate(place, row)
    assert read_certificate(place) == row


def test_a_damaged_certificate_is_none(tiny_lm: LanguageModel, tmp_path: Path) -> None:
    place = certificate_path(tiny_lm.base(), tiny_lm.tokenizer, "r", tmp_path)
    assert place is not None
    write_certificate(place, tiny_lm.architecture)
    whole = json.loads(place.read_text())
    for damaged in ({**whole, "more": 1}, {**whole, "layers": ""}, {**whole, "missing": 3}, []):
        place.write_text(json.dumps(damaged))
        assert read_certificate(place) is None
    place.write_text("{")
    assert read_certificate(place) is None


def test_its_name_depends_on_all_that_was_checked(
    tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, tokenizer = tiny_lm.base(), tiny_lm.tokenizer

    def name(revision: str = "r") -> Path | None:
        return certificate_path(base, tokenizer, revision, tmp_path)

    names = [name(), name("other")]
    base.config.rms_norm_eps = 1e-4
    names.append(name())
    base.double()
    names.append(name())
    base.set_attn_implementation("eager")
    names.append(name())
    monkeypatch.setattr(certificate, "code_version", lambda: "other code")
    names.append(name())
    assert len(set(names)) == len(names)
    assert name() == names[-1]
    assert certificate_path(base, tokenizer, "", tmp_path) is None


def test_a_model_is_verified_once(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    check = workbench.loading.load.verify

    def count(lm: LanguageModel) -> LanguageModel:
        verified.append(lm.name)
        return check(lm)

    monkeypatch.setattr(workbench.loading.load, "verify", count)
    first = load_model(str(tiny_folder), cache_dir=tmp_path)
    second = load_model(str(tiny_folder), cache_dir=tmp_path)
    assert len(verified) == 1
    assert first.architecture == second.architecture
    load_model(str(tiny_folder), cache_dir=tmp_path, attention="eager")
    assert len(verified) == 2
