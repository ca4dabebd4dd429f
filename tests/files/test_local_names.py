from __future__ import annotations

from pathlib import Path

import pytest

from workbench.config import load_config
from workbench.files.local_names import local_name, without_folders


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("default", "default"),
        ("org/name", "org/name"),
        ("models/tiny", "models/tiny"),
        ("/home/ann/models/tiny", "tiny"),
        ("/home/ann/models/tiny/", "tiny"),
        ("/home/ann/größe.gguf", "größe.gguf"),
        ("~/models/tiny", "tiny"),
        (r"C:\Users\ann\tiny", "tiny"),
        (r"\\server\share\tiny", "tiny"),
        ("/", "/"),
        ("1/2", "1/2"),
        ("", ""),
    ],
)
def test_absolute_paths_lose_their_folders(text: str, shown: str) -> None:
    assert local_name(text) == shown


def test_of_a_configuration_every_path_loses_its_folders() -> None:
    config = load_config(
        None,
        {
            "model.name": "/home/ann/tiny",
            "questions.source": "/data/q.jsonl",
            "questions.mirror": "/data/hub",
        },
    )
    shown = without_folders(
        {"run": config.model_dump(), "arms": [("a", Path("/home/ann/b"))], "n": 3}
    )
    assert shown["run"]["model"]["name"] == config.model.shown == "tiny"
    assert (shown["run"]["questions"]["source"], shown["run"]["questions"]["mirror"]) == (
        "q.jsonl",
        "hub",
    )
    assert shown["arms"] == [["a", "b"]]
    assert (shown["n"], shown["run"]["teach"]["epochs"]) == (3, config.teach.epochs)
