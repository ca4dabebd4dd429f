from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from workbench.api.probes import fit_probes
from workbench.api.states import Recorded, read_prompts, read_recorded, record_prompts
from workbench.config import ProbeConfig
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.states.recorded import RecordedStates
from workbench.trace import record_states

TEXTS = ["The river is long", "Where is it?", "So the answer is 7, and no more"]


def test_states_are_the_residual_stream_at_the_named_places(tiny_lm: LanguageModel) -> None:
    """By the host library's hidden states of each prompt alone; several prompts in a pass."""
    found = record_prompts(tiny_lm, TEXTS, [" is", "last", 0], tokens_per_forward=40)
    assert found.places == (" is", "last", "0")
    assert found.states.shape == (3, 4, 3, 32)
    for row, text in enumerate(TEXTS[:2]):
        ids = tiny_lm.tokenizer(text)["input_ids"]
        with torch.no_grad():
            hidden = tiny_lm.base()(torch.tensor([ids]), output_hidden_states=True).hidden_states
        written = [len(tiny_lm.tokenizer.decode(ids[: end + 1])) for end in range(len(ids))]
        end = text.index(" is") + 3
        place = next(index for index, length in enumerate(written) if length >= end)
        for layer in range(3):
            for column, index in enumerate((place, len(ids) - 1, 0)):
                assert found.states[row, layer, column] == pytest.approx(
                    hidden[layer + 1][0, index].numpy(), abs=1e-4
                )
        assert found.prompts[" is.index"][row] == place
    assert list(found.prompts["prompt"]) == TEXTS


def test_a_place_that_is_not_there_is_refused(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="does not occur in prompt 1"):
        record_prompts(tiny_lm, TEXTS, "river")


def test_what_is_saved_comes_back(tiny_lm: LanguageModel, tmp_path: Path) -> None:
    columns = pd.DataFrame({"topic": ["water", "place", "number"], "long": [1, 0, 0]})
    found = record_prompts(tiny_lm, TEXTS, columns=columns)
    found.save(tmp_path / "states")
    again = read_recorded(tmp_path / "states")
    assert np.array_equal(again.states, found.states)
    assert again.places == ("last",)
    pd.testing.assert_frame_equal(again.prompts, found.prompts)
    assert list(again.prompts["topic"]) == ["water", "place", "number"]
    assert set(load_file(tmp_path / "states" / "states.safetensors")) == {"states"}
    with pytest.raises(WorkbenchError, match="holds no recorded states"):
        read_recorded(tmp_path)


def test_a_file_of_prompts_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("text,kind\nWho?,a\nWhy?,b\n")
    assert read_prompts(path, "text").to_dict("list") == {
        "prompt": ["Who?", "Why?"],
        "kind": ["a", "b"],
    }
    with pytest.raises(WorkbenchError, match="has no column 'prompt'"):
        read_prompts(path)
    path.write_text("prompt,kind\nWho?,a\n ,b\n")
    with pytest.raises(WorkbenchError, match="the prompt of row 2 is empty"):
        read_prompts(path)


def test_a_label_that_stands_in_the_prompt_is_found(tiny_lm: LanguageModel) -> None:
    """One token decides the label, so its own state tells it at once, and shuffled ones do not."""
    texts = [f"Number {n} is {'big' if n % 2 else 'low'}." for n in range(120)]
    columns = pd.DataFrame({"big": [n % 2 for n in range(120)]})
    recorded = record_prompts(tiny_lm, texts, {"word": [text[-4:-1] for text in texts]},
                              columns=columns)  # fmt: skip
    settings = ProbeConfig(folds=3, inner_folds=2, inverse_penalties=(0.1,), shuffles=3)
    probes = fit_probes(recorded, "big", settings=settings, resamples=100)
    found = probes.estimates()
    assert found["auroc2.probe"].value == 1
    assert found["auroc2.control"].value < 0.9
    assert len(probes.targets) + len(probes.probability) == 120
    assert "big is true" in probes.figure().layout.title.text
    with pytest.raises(WorkbenchError, match="no column 'tall'"):
        fit_probes(recorded, "tall")


def test_states_beyond_the_bound_are_recorded_into_shards(
    tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those that are held otherwise, go on after a kill, and are read where they lie."""
    held = record_prompts(tiny_lm, TEXTS, ["last", 0])
    passes = []

    def counted(*given: object) -> torch.Tensor:
        passes.append(given)
        if len(passes) == 2:
            raise KeyboardInterrupt
        return record_states(*given)

    def record() -> Recorded:
        return record_prompts(
            tiny_lm, TEXTS, ["last", 0], tokens_per_forward=1, folder=tmp_path, recorded_bytes=0
        )

    monkeypatch.setattr("workbench.api.states.record_states", counted)
    with pytest.raises(KeyboardInterrupt):
        record()
    kept = record()
    assert len(passes) == 1 + 1 + 2
    kept.save(tmp_path)
    again = read_recorded(tmp_path)
    assert isinstance(again.states, RecordedStates)
    assert again.places == ("last", "0")
    np.testing.assert_allclose(np.asarray(again.states), held.states, atol=1e-5)
    with pytest.raises(WorkbenchError, match="save them into its parent"):
        kept.save(tmp_path / "elsewhere")
    # Other prompts do not go on from these, and held states take the place of shards.
    other = record_prompts(
        tiny_lm, TEXTS[:2], ["last", 0], tokens_per_forward=1, folder=tmp_path, recorded_bytes=0
    )
    assert other.states.shape == (2, 4, 2, 32)
    held.save(tmp_path)
    assert isinstance(read_recorded(tmp_path).states, np.ndarray)
