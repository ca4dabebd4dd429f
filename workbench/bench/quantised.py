"""Measure what quantising a model's weights at load costs: in AUROC2, and in the confidence it
reads out.

The plain model answers several samples of the built-in questions, none of which share a question,
and states its confidence in its answers. Every scheme then reads its confidence in the *same*
answers, so that nothing but the readout differs. For each sample and scheme:

- ``auroc2_loss``: AUROC2 of the plain model's expected confidence minus that of the scheme's, with
  its paired interval over questions; positive where quantising costs discrimination;
- ``difference``: the mean absolute difference of expected confidence, as a share of certainty;
- ``divergence``: the mean Kullback-Leibler divergence of the scheme's distribution over the scale
  from the plain one, in nats, all that is not on the scale being one value more;
- ``weights_bytes``: bytes in which the weights are held.

Answers that the quantised model would give itself are not looked at, nor what another model loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.api.confidence import Asked, ask
from workbench.api.questions import load_questions
from workbench.elicit.confidence_table import read_conversations
from workbench.elicit.readout import expected_confidence
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.measure import auroc2
from workbench.measure.auroc2_interval import auroc2_difference
from workbench.models import LanguageModel
from workbench.models.quantisation import require_plain_weights
from workbench.models.quantise import SCHEMES, scheme_named
from workbench.pipeline.store import compute_parts
from workbench.progress import track
from workbench.settings.defaults import TOKENS_PER_FORWARD

SMALLEST = 1e-12


@dataclass(frozen=True)
class QuantisedReading:
    """What one scheme gave on one sample; see the module for the measures."""

    scheme: str
    sample: int
    questions: int
    auroc2: float
    auroc2_plain: float
    auroc2_loss: float
    auroc2_loss_low: float
    auroc2_loss_high: float
    difference: float
    divergence: float
    weights_bytes: int
    plain_bytes: int


def bench_quantised(
    model: str,
    *,
    schemes: Sequence[str] = ("int8", "int4"),
    questions: int = 200,
    samples: int = 2,
    device: str = "auto",
    seed: int = 0,
) -> list[QuantisedReading]:
    """Measure every scheme on every sample.

    Args:
        questions: of each sample, drawn evenly over domains.

    Raises:
        WorkbenchError: for a scheme that cannot be used here, a checkpoint that is quantised
            already, and too few questions for as many samples.
    """
    for name in schemes:
        if scheme_named(name) is None:
            raise WorkbenchError(f"name schemes that quantise: some of {', '.join(SCHEMES)}")
    plain = load_model(model, device=device)
    require_plain_weights(plain, "The comparison", "give the checkpoint it was made from")
    drawn = [
        load_questions(limit=questions, skip=number * questions, seed=seed)
        for number in range(samples)
    ]
    if any(len(sample) < questions for sample in drawn):
        raise WorkbenchError(
            f"the built-in questions are too few for {samples} samples of {questions}: take fewer "
            "of one or the other"
        )
    asked = [ask(plain, sample, record=()) for sample in track(drawn, "asking the plain model")]
    size = weights_bytes(plain)
    found = []
    for name in schemes:
        lm = load_model(model, device=device, quantize=name)
        for number, sample in enumerate(track(asked, f"reading {name}")):
            found.append(_compare(name, number, sample, lm, size, seed))
        del lm
    return found


def _compare(
    name: str, number: int, asked: Asked, lm: LanguageModel, plain_bytes: int, seed: int
) -> QuantisedReading:
    read = read_conversations(
        lm,
        asked.conversations,
        asked.scale_tokens,
        names=[question.id for question in asked.questions],
        tokens_per_forward=TOKENS_PER_FORWARD,
        run=compute_parts,
    )
    scale = asked.scale_tokens.scale
    before, after = asked.distribution, read.tensors["distribution"]
    graded = asked.correct.notna().to_numpy(dtype=bool)
    correct = asked.correct[graded].to_numpy(dtype=bool)
    plain, quantised = (
        expected_confidence(each, scale.values, scale.certain)[graded] for each in (before, after)
    )
    loss = auroc2_difference(plain, quantised, correct, None, seed=seed)
    return QuantisedReading(
        scheme=name,
        sample=number,
        questions=int(graded.sum()),
        auroc2=auroc2(quantised, correct),
        auroc2_plain=auroc2(plain, correct),
        auroc2_loss=loss.value,
        auroc2_loss_low=loss.low,
        auroc2_loss_high=loss.high,
        difference=float(np.abs(plain - quantised).mean()),
        divergence=float(divergence(before, after)[graded].mean()),
        weights_bytes=weights_bytes(lm),
        plain_bytes=plain_bytes,
    )


def divergence(plain: NDArray[np.floating], quantised: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the Kullback-Leibler divergence [rows] in nats of distributions over a scale [rows,
    values] from plain ones, what is off the scale being one value more.
    """
    p, q = (_with_rest(each) for each in (plain, quantised))
    return (p * (np.log(p) - np.log(q))).sum(axis=-1)


def _with_rest(distribution: NDArray[np.floating]) -> NDArray[np.float64]:
    rest = 1 - distribution.sum(axis=-1, keepdims=True)
    whole = np.concatenate([distribution, rest], axis=-1).clip(SMALLEST)
    return np.asarray(whole / whole.sum(axis=-1, keepdims=True), dtype=np.float64)


def weights_bytes(lm: LanguageModel) -> int:
    """Return the bytes that a model's weights take, scales of quantised ones included."""
    seen = {id(weight): weight for weight in lm.base().parameters()}
    return sum(_bytes(weight) for weight in seen.values())


def _bytes(weight: Tensor) -> int:
    """Return a weight's bytes: of all tensors it is made of, where it is a class around several."""
    names = getattr(weight, "tensor_data_names", None)
    if names is None:
        return weight.numel() * weight.element_size()
    optional = getattr(weight, "optional_tensor_data_names", None) or []
    parts = [getattr(weight, name, None) for name in (*names, *optional)]
    return sum(_bytes(part) for part in parts if isinstance(part, torch.Tensor))


def reading_row(reading: QuantisedReading) -> dict[str, str]:
    """Write a reading as a row of the printed table."""
    values = asdict(reading)
    return {
        "scheme": reading.scheme,
        "sample": str(reading.sample + 1),
        "questions": str(reading.questions),
        "AUROC2": f"{values['auroc2_plain']:.3f} -> {values['auroc2']:.3f}",
        "loss": f"{reading.auroc2_loss:+.3f} [{reading.auroc2_loss_low:+.3f}, "
        f"{reading.auroc2_loss_high:+.3f}]",
        "difference": f"{reading.difference:.4f}",
        "divergence": f"{reading.divergence:.4f}",
        "bytes": f"{reading.weights_bytes / reading.plain_bytes:.2f} of plain",
    }
