from __future__ import annotations

import os
from pathlib import Path

import pytest

from workbench.cli.error_report import BLOT, error_report, without_secrets, write_error_report
from workbench.config import RunConfig, load_config

ENVIRONMENT = {
    "HF_TOKEN": "hf_abcdefgh",
    "MY_API_KEY": "plain-words-key",
    "DB_PASSWORD": "hunter2hunter2",
    "SHORT_KEY": "1",
    "WORKBENCH_CACHE": "/data/cache",
    "HOME": "/home/ann",
    "OMP_NUM_THREADS": "2",
}


def caught(config: RunConfig) -> BaseException:
    def inner(settings: RunConfig) -> None:
        raise KeyError(f"no {settings.seed} in hunter2hunter2")

    try:
        inner(config)
    except KeyError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("the token hf_abcdefgh failed", f"the token {BLOT} failed"),
        ("key plain-words-key.", f"key {BLOT}."),
        ("hf_QWERTYUIOPASDFGHJKLZ in a url", f"{BLOT} in a url"),
        ("Authorization: Bearer abc.def-ghi", f"Authorization: Bearer {BLOT}"),
        ("'authorization': 'Basic dXNlcjpwYXNz'", f"'authorization': 'Basic {BLOT}'"),
        ("--hf-token abc123 --seed 1", f"--hf-token {BLOT} --seed 1"),
        ("api_key='s3cr3t', seed=1", f"api_key='{BLOT}', seed=1"),
        ('"OPENAI_API_KEY": "whatever"', f'"OPENAI_API_KEY": "{BLOT}"'),
        ("https://ann:pw@host/x", f"https://{BLOT}@host/x"),
        ("sk-abcdefghijklmnopqrstuv", BLOT),
        (
            '"answer_tokens": 16,\n"tokens_per_forward": 2048,',
            '"answer_tokens": 16,\n"tokens_per_forward": 2048,',
        ),
        ("eos_token_id=2 pad_token=None", "eos_token_id=2 pad_token=None"),
        ("KeyError: 1", "KeyError: 1"),
    ],
)
def test_secrets_are_blotted_out_and_the_rest_stays(text: str, left: str) -> None:
    assert without_secrets(text, ENVIRONMENT) == left


def test_the_report_holds_what_is_needed_and_no_secret() -> None:
    config = load_config(None, {"seed": 5, "elicit.answer_tokens": 7})
    text = error_report(
        caught(config), ["workbench", "run", "--set", "model.name=hf_abcdefgh"], ENVIRONMENT
    )
    for part in ("Error\n-----\nKeyError", "Command\n", "Versions\n", "Settings\n", "Traceback\n"):
        assert part in text
    for held in (
        "python 3.",
        "torch 2.",
        "WORKBENCH_CACHE=/data/cache",
        "OMP_NUM_THREADS=2",
        '"seed": 5',
        '"answer_tokens": 7',
    ):
        assert held in text
    for secret in ("hf_abcdefgh", "plain-words-key", "hunter2", "/home/ann"):
        assert secret not in text


def test_a_report_goes_to_the_runs_else_here_and_is_the_owners_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = write_error_report(caught(RunConfig()), [])
    (tmp_path / "runs").mkdir()
    there = write_error_report(caught(RunConfig()), [])
    assert here is not None
    assert there is not None
    assert (here.parent, there.parent) == (Path(), Path("runs"))
    assert here.name.startswith("workbench-error-")
    assert str(os.getpid()) in here.name
    assert there.stat().st_mode & 0o777 == 0o600


def test_a_report_goes_to_the_temporary_folder_where_nothing_else_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened = os.open

    def refusing(path: Path, *more: int) -> int:
        if Path(path).parent in (Path(), Path("runs")):
            raise PermissionError
        return opened(path, *more)

    spare = tmp_path / "spare"
    spare.mkdir()
    monkeypatch.setattr("workbench.cli.error_report.os.open", refusing)
    monkeypatch.setattr("tempfile.tempdir", str(spare))
    path = write_error_report(caught(RunConfig()), [])
    assert path is not None
    assert path.parent == spare
    spare.joinpath(path.name).unlink()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    assert write_error_report(caught(RunConfig()), []) is None
