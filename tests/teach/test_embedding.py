from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

import workbench.teach.embedding as module
from workbench.config import TeachSettings
from workbench.errors import WorkbenchError
from workbench.measure import auroc2
from workbench.teach.embedding import (
    embeddings,
    encoder_folder,
    read_embedding_head,
    teach_embedding_head,
)
from workbench.teach.training_job import HeadInputs, TrainingJob

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *"abcdefghijklmnopqrstuvwxyz",
    "river",
    "king",
    "yes",
    "no",
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT, as a folder."""
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertModel(config).eval().save_pretrained(folder)
    return folder


def test_an_embedding_is_the_mean_over_the_texts_own_tokens(
    encoder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = ["river", "king yes no a b", "a b"]
    capfd.readouterr()
    found = embeddings(texts, encoder)
    assert "".join(capfd.readouterr()) == ""
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    model = BertModel.from_pretrained(encoder).eval()
    tokenizer = BertTokenizerFast.from_pretrained(encoder)
    for text, row in zip(texts, found, strict=True):
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0)
        assert row == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)


def test_a_head_learns_what_the_text_tells(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "encoder_folder", lambda: encoder)
    rng = np.random.default_rng(0)
    right = rng.random(120) < 0.5
    questions = [" ".join(rng.choice(WORDS[5:31], 2)) for _ in right]
    answers = ["yes" if one else "no" for one in right]
    whole: dict[str, Any] = dict.fromkeys(TrainingJob.__dataclass_fields__)
    whole |= {
        "questions": questions[:80], "answers": answers[:80], "targets": right[:80].astype(float), "seed": 0,
        "folder": tmp_path, "description": "head", "settings": TeachSettings(),
    }  # fmt: skip
    teach_embedding_head(TrainingJob(**whole))
    judged: dict[str, Any] = dict.fromkeys(HeadInputs.__dataclass_fields__)
    found = read_embedding_head(
        HeadInputs(
            **(judged | {"questions": questions[80:], "answers": answers[80:], "folder": tmp_path})
        )
    )
    assert auroc2(found, right[80:]) > 0.9


def test_the_package_carries_an_encoder() -> None:
    pytest.importorskip(module.PACKAGE)
    alike, other = ["The cat sat.", "A cat was sitting."], ["Stocks fell sharply."]
    found = embeddings([*alike, *other], encoder_folder())
    assert found.shape == (3, 384)
    assert found[0] @ found[1] > 0.7 > found[0] @ found[2]


def test_a_missing_encoder_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(WorkbenchError, match=r"confidence-workbench\[embeddings\]"):
        encoder_folder()
