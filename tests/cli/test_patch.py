from __future__ import annotations

import weakref
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from tests.support.tiny_models import build_tiny
from workbench import loading
from workbench.api.patching import patch_map
from workbench.api.recorded_donor import record_donor
from workbench.cli.app import app
from workbench.loading import load_model
from workbench.models import LanguageModel

CAT, DOG = "What is the cat", "What is the dog"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["patch", *(str(argument) for argument in arguments)])


def test_a_prompt_is_patched_into_a_page(tiny_folder: Path, tmp_path: Path) -> None:
    result = call(
        CAT,
        *("--donor", DOG, "--read", "x", "--read", "y", "--over", "layer,position"),
        *("--model", tiny_folder, "--device", "cpu", "--figures", tmp_path, "--name", "one"),
    )
    assert result.exit_code == 0, result.stderr
    assert "logit difference, “x” − “y”" in result.stdout
    folder = tmp_path / "one"
    assert {"index.html", "patching.html", "table.csv", "summary.csv"} <= {
        path.name for path in folder.iterdir()
    }
    lm = load_model(str(tiny_folder), device="cpu")
    wanted = patch_map(lm, CAT, DOG, read=("x", "y"))
    table = pd.read_csv(folder / "table.csv").query("condition == 'donor'")
    assert table["patched"].to_numpy() == pytest.approx(wanted.patched.reshape(-1), abs=1e-6)
    assert table["position"].tolist()[:2] == ["0 What", "1 is"]


def test_pairs_of_a_file_are_patched_by_their_spans(tiny_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text(
        "prompt,donor,read,against,span,donor_span\n"
        f"{CAT},What is the doggy,x,y,cat,doggy\n"
        "What is the hen,What is the ox,z,x,hen,ox\n"
    )
    result = call(
        *("--file", file, "--model", tiny_folder, "--device", "cpu", "--figures", tmp_path),
        *("--name", "many", "--no-controls"),
    )
    assert result.exit_code == 0, result.stderr
    summary = pd.read_csv(tmp_path / "many" / "summary.csv")
    assert summary["position"].tolist() == ["span", "last"] * 4
    assert (summary["prompts"] == 2).all()


def test_a_donor_model_is_gone_before_the_patched_one_is_loaded(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = build_tiny(seed=1)
    other.model.save_pretrained(tmp_path / "other")
    other.tokenizer.save_pretrained(tmp_path / "other")
    loaded: list[weakref.ref[object]] = []

    def load(name: str, **options: str) -> LanguageModel:
        assert all(model() is None for model in loaded)
        lm = load_model(name, **options)  # type: ignore[arg-type]
        loaded.append(weakref.ref(lm.model))
        return lm

    monkeypatch.setattr(loading, "load_model", load)
    read = ("--read", "x", "--read", "y")
    for name, donor, arguments in (
        ("same", CAT, ()),
        ("differs", DOG, ("--donor", DOG)),
    ):
        loaded.clear()
        result = call(
            *(CAT, *arguments, "--donor-model", tmp_path / "other", *read),
            *("--model", tiny_folder, "--device", "cpu", "--figures", tmp_path, "--name", name),
        )
        assert result.exit_code == 0, result.stderr
        assert len(loaded) == 2
        wanted = patch_map(
            load_model(str(tiny_folder), device="cpu"),
            CAT,
            record_donor(other, donor, read=("x", "y")),
            read=("x", "y"),
        )
        table = pd.read_csv(tmp_path / name / "table.csv").query("condition == 'donor'")
        assert table["patched"].to_numpy() == pytest.approx(wanted.patched.reshape(-1), abs=1e-5)
    assert f"in {tmp_path / 'other'}" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--read", "x"), "Give a PROMPT with --donor or --donor-model, or many pairs with --file"),
        ((CAT, "--read", "x"), "Give a PROMPT with --donor"),
        ((CAT, "--donor", DOG, *("--read", "x") * 3), "--read is given 3 times"),
        ((CAT, "--donor", DOG, "--read", "x", "--layers", "a"), "give 'all', or numbers"),
        ((CAT, "--donor", DOG, "--read", "cat"), "is 3 tokens of this tokenizer"),
        ((CAT, "--donor", DOG), "Say what is read"),
        ((CAT, "--donor", "What is the doggy", "--read", "x"), "donor 9"),
    ],
)
def test_mistakes_are_one_sentence(
    tiny_folder: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = call(*arguments, "--model", tiny_folder, "--device", "cpu", "--figures", tmp_path)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not (tmp_path / "patching").exists()
