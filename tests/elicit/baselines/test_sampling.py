from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from workbench.elicit.answer import first_line
from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.sampling import (
    Draw,
    inverted,
    sampled_batch,
    sampled_from,
    uniform_numbers,
)
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.elicit.greedy import stop_at_newline
from workbench.models import LanguageModel
from workbench.models.unembed import unembed

MakeAsked = Callable[[LanguageModel], list[Asked]]
SETTINGS = BaselineSettings(samples=5, answer_tokens=7, temperature=0.9, top_p=0.8)


def likely_to_end(lm: LanguageModel) -> LanguageModel:
    """A model whose ending tokens are likely enough that samples differ in length; tied heads
    are left as they are.
    """
    if lm.head().weight is not lm.embedding().weight:
        with torch.no_grad():
            lm.head().weight[lm.tokenizer.eos_token_id] *= 4
    return lm


def plainly(
    lm: LanguageModel, one: Asked, uniform: np.ndarray, settings: BaselineSettings
) -> tuple[str, str, float]:
    """One sample without any cache: the whole string computed anew for every token."""
    ids, total, stop = list(one.prompt), 0.0, stop_at_newline(lm)
    for number in uniform:
        with torch.no_grad():
            logits = lm.base()(input_ids=torch.tensor([ids])).logits[0, -1:]
        drawn = sampled_from(logits, settings.temperature, settings.top_p)[0].cumsum(dim=-1)
        token = int((drawn > number * drawn[-1]).int().argmax())
        log = logits[0].log_softmax(dim=-1)
        ids.append(token)
        if stop[token]:
            total += float(log[stop].logsumexp(dim=-1))
            break
        total += float(log[token])
    new = ids[len(one.prompt) :]
    path = new[:-1] if stop[new[-1]] else new
    return (
        first_line(lm.tokenizer.decode(new, skip_special_tokens=True)),
        " ".join(map(str, path)),
        total,
    )


@pytest.mark.parametrize(
    ("family", "tokenizer"), [("llama", "digits"), ("mistral", "merged_space"), ("gpt2", "digits")]
)
def test_samples_on_the_shared_prompt_are_those_without_any_cache(
    make_tiny: Callable[..., LanguageModel], make_asked: MakeAsked, family: str, tokenizer: str
) -> None:
    lm = likely_to_end(make_tiny(family, tokenizer))
    asked = make_asked(lm)
    table = sampled_batch(lm, asked, np.arange(len(asked)), SETTINGS)
    assert table["row"].tolist() == np.repeat(np.arange(4), 5).tolist()
    for row, one in enumerate(asked):
        uniforms = uniform_numbers(one.question.text, SETTINGS)
        mine = table[table["row"] == row].reset_index(drop=True)
        for place, uniform in enumerate(uniforms):
            text, path, total = plainly(lm, one, uniform, SETTINGS)
            assert (mine["text"][place], mine["path"][place]) == (text, path)
            assert mine["log_likelihood"][place] == pytest.approx(total, abs=1e-4)
    assert table["path"].nunique() > 10
    assert family == "gpt2" or table["tokens"].nunique() > 1
    assert table["prompt_tokens"].tolist() == [len(one.prompt) for one in asked for _ in range(5)]


def test_logits_on_the_shared_prompt_are_those_of_the_whole_string(
    tiny_lm: LanguageModel, make_asked: MakeAsked, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = make_asked(tiny_lm)
    seen: dict[tuple[int, int], torch.Tensor] = {}
    original = Draw.__call__

    def spy(self: Draw, final: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        seen.update(
            {
                (row, step): unembed(tiny_lm, state[None])[0]
                for row, state in zip(rows.tolist(), final, strict=True)
            }
        )
        return original(self, final, rows, step)

    monkeypatch.setattr(Draw, "__call__", spy)
    table = sampled_batch(tiny_lm, asked, np.arange(len(asked)), SETTINGS)
    compared = 0
    for line in range(len(table)):
        ids = [int(token) for token in table["path"][line].split()]
        for step in range(-1, len(ids) - 1):
            whole = [*asked[line // 5].prompt, *ids[: step + 1]]
            with torch.no_grad():
                plain = tiny_lm.base()(input_ids=torch.tensor([whole])).logits[0, -1]
            torch.testing.assert_close(seen[line, step], plain, atol=1e-5, rtol=1e-5)
            compared += 1
    assert compared > 40


def test_samples_depend_neither_on_the_batch_nor_on_how_many_follow(
    tiny_lm: LanguageModel, make_asked: MakeAsked
) -> None:
    lm = likely_to_end(tiny_lm)
    asked = make_asked(lm)
    together = sampled_batch(lm, asked, np.arange(4), SETTINGS)
    for row, one in enumerate(asked):
        alone = sampled_batch(lm, [one], np.asarray([row]), SETTINGS)
        assert alone["path"].tolist() == together["path"][together["row"] == row].tolist()
    more = sampled_batch(lm, asked[:1], np.asarray([0]), SETTINGS.model_copy(update={"samples": 9}))
    assert more["path"].tolist()[:5] == together["path"].tolist()[:5]
    other = sampled_batch(lm, asked[:1], np.asarray([0]), SETTINGS.model_copy(update={"seed": 1}))
    assert other["path"].tolist() != together["path"].tolist()[:5]


@pytest.mark.parametrize(
    ("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.3, 0.6), (1.0, 0.05)]
)
def test_what_is_sampled_from_is_the_host_librarys_distribution(
    temperature: float, top_p: float
) -> None:
    logits = 3 * torch.randn(6, 50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scores = TemperatureLogitsWarper(temperature)(None, logits) if temperature != 1 else logits
    scores = TopPLogitsWarper(top_p)(None, scores) if top_p < 1 else scores
    torch.testing.assert_close(sampled_from(logits, temperature, top_p), scores.softmax(dim=-1))


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda x: sum(x) > 1e-6),
    st.floats(0, 1, exclude_max=True),
)
def test_a_number_falls_to_the_token_whose_share_of_the_line_holds_it(
    weights: list[float], uniform: float
) -> None:
    shares = torch.tensor([weights], dtype=torch.float64)
    shares = shares / shares.sum()
    token = int(inverted(shares, torch.tensor([uniform], dtype=torch.float64)))
    reached = shares[0].cumsum(dim=0)
    before = float(reached[token] - shares[0, token])
    assert shares[0, token] > 0
    assert before <= uniform + 1e-9
    assert uniform <= float(reached[token]) + 1e-9


def test_frequencies_are_those_of_the_softmax(
    tiny_lm: LanguageModel, make_asked: MakeAsked
) -> None:
    """Chi-square of 4,000 first tokens of one question; the seed is fixed, so the test always
    does the same.
    """
    one = make_asked(tiny_lm)[0]
    settings = BaselineSettings(samples=4000, answer_tokens=1)
    table = sampled_batch(tiny_lm, [one], np.asarray([0]), settings)
    with torch.no_grad():
        logits = tiny_lm.base()(input_ids=torch.tensor([one.prompt])).logits[0, -1]
    probabilities = logits.double().softmax(dim=-1).numpy()
    stop = stop_at_newline(tiny_lm).numpy()
    drawn = np.asarray([int(path) if path else -1 for path in table["path"]])
    observed = np.bincount(drawn[drawn >= 0], minlength=384).astype(float)
    likely = np.flatnonzero((probabilities * 4000 >= 5) & ~stop)
    rest = 1 - probabilities[likely].sum()
    expected = 4000 * np.append(probabilities[likely], rest)
    counted = np.append(observed[likely], 4000 - observed[likely].sum())
    statistic = float(((counted - expected) ** 2 / expected).sum())
    assert len(likely) > 50
    assert chi2.sf(statistic, len(likely)) > 0.01
