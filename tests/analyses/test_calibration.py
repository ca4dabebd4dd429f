from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tests.support.analyses import Analysis
from workbench.elicit.answer import answer_batch, answer_prompts
from workbench.elicit.formats import FORMATS
from workbench.models import LanguageModel
from workbench.pipeline.store import code_version
from workbench.teach.embedding import PACKAGE

NAMES = [start + end for start in "bdfgklmnprst" for end in ("ova", "ulo", "eri", "ando", "ism")]


@pytest.fixture
def digits(make_tiny: Callable[..., LanguageModel]) -> LanguageModel:
    """A tiny llama whose replies are digits, so that it is right now and then, of a number or of
    two options.
    """
    lm = make_tiny(seed=3)
    with torch.no_grad():
        lm.head().weight[lm.tokenizer.convert_tokens_to_ids(list("0123456789"))] *= 12
    return lm


def planted(lm: LanguageModel) -> list[dict[str, Any]]:
    """120 questions in two domains, every other pair of which accepts what the model replies."""
    texts = [
        f"Which {domain} of {name} is long?" for name in NAMES for domain in ("planet", "river")
    ]
    said = answer_batch(lm, answer_prompts(lm, FORMATS["i-ii"], texts, [""] * len(texts)), 1)
    return [
        {
            "question": text,
            "answers": [reply if index // 2 % 2 else str((int(reply) + 1) % 10)],
            "domain": text.split()[1],
            "kind": "numeric",
        }
        for index, (text, reply) in enumerate(zip(texts, said, strict=True))
    ]


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def analysis(digits: LanguageModel, tmp_path: Path, asked: Callable[..., Analysis]) -> Analysis:
    """The script, asked for every ablation in bfloat16 with one share of the labels."""
    digits.model.save_pretrained(tmp_path / "model")
    digits.tokenizer.save_pretrained(tmp_path / "model")
    none = [
        {"question": f"Who reigns on {name}?", "answers": [], "answerable": False}
        for name in NAMES[:9]
    ]
    others = [
        {
            "prompt": "",
            "question": f"Which sea of {name} is deep?",
            "answer": str(i),
            "correct": i % 3 == 0,
        }
        for i, name in enumerate(NAMES[:20])
    ]
    settings = {
        "model": {"name": str(tmp_path / "model"), "device": "cpu", "precision": "bfloat16"},
        "questions": {
            "source": str(lines(tmp_path / "questions.jsonl", planted(digits))), "limit": 120, "options": 2,
            "train_fraction": 0.8,
        },
        "elicit": {"answer_tokens": 1},
        "probe": {"folds": 3, "inner_folds": 2, "inverse_penalties": (0.01,), "shuffles": 1},
        "teach": {"epochs": 1, "lora": {"rank": 4}},
        "bootstrap_resamples": 100,
    }  # fmt: skip
    return asked(
        "calibration",
        settings,
        percents=70,
        unanswerable=lines(tmp_path / "none.jsonl", none),
        other_answers=lines(tmp_path / "others.jsonl", others),
    )


def test_as_a_script_it_measures_every_ablation_and_as_a_notebook_it_goes_on_to_show_them(
    analysis: Analysis,
) -> None:
    said = analysis.lines()
    page = analysis.place / "figures" / "tiny" / "calibration"
    assert said[-1] == f"figures: {page / 'index.html'}"
    left_out = [line for line in said if line.startswith("left out")]
    assert [line.split(",")[0] for line in left_out] == (
        [] if find_spec(PACKAGE) else ["left out: embeddings"]
    )
    table = pd.read_parquet(page / "ablations.parquet")
    assert set(table["ablation"]) == {
        "labels",
        "divergence",
        "swapped",
        "other-answers",
        "forms",
        "unanswerable",
    }
    curve = table[(table["ablation"] == "labels") & (table["measure"] == "AUROC2")].set_index(
        ["judge", "condition"]
    )
    labels = curve["labels"]
    full = labels["lora-prompt", "100 % of the labels"]
    assert labels["before", "no labels"] == 0
    assert (
        labels["lora-prompt", "70 % of the labels"]
        == labels["head", "70 % of the labels"]
        == round(0.7 * full)
    )
    forms = table[(table["ablation"] == "forms") & (table["measure"] == "ECE")]
    assert len(forms) == 2 * (1 + 2 * 2)
    assert forms["questions"].nunique() == 1
    # What a training says at home of the questions both forms hold out is what the label curve has
    # of all held-out questions.
    own = table.set_index(["ablation", "judge", "condition", "measure"])["value"]
    for arm in ("lora-prompt", "head"):
        at_home = own["forms", f"{arm}, taught open", "judges open", "AUROC2 pooled"]
        assert at_home == own["labels", arm, "100 % of the labels", "AUROC2 pooled"]
    others = table[
        (table["ablation"] == "other-answers") & (table["condition"] == "another model's answers")
    ]
    assert set(others["questions"]) == {20}
    none = table[(table["ablation"] == "unanswerable") & (table["condition"] == "unanswerable")]
    assert set(none["questions"]) == {9}
    kept = json.loads((page / "ablations.json").read_text())
    assert kept["configuration"]["plan"]["percents"] == [70]
    assert kept["code"] == code_version()
    assert kept["configuration"]["run"]["elicit"]["format"] == "i-ii"
    assert {path.stem for path in page.glob("*.html")} >= {
        "index",
        "labels",
        "divergence",
        "forms_auroc2",
    }
    assert (analysis.place / "figures" / "tiny" / "open" / "index.html").exists()
    finished = analysis.finished()
    shown = analysis.notebook()
    assert shown.text.splitlines() == said
    assert shown.figures == 9
    assert analysis.finished() == finished
