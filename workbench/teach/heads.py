"""Train a head on the model: a small network from a hidden state to the probability that the answer
is right.

Layers d - 256 - 128 - 64 - 2 (``teach.head.widths``) with ReLU on the last hidden state at the
answer's last token, cross-entropy, AdamW, cosine (Kapoor et al. 2024, arXiv 2406.08391). On a
frozen model ("Probe") it reads the residual stream as it was recorded when the model was asked for
its confidence, standardised on the training questions, and the model computes nothing for it. With
an adapter that is trained together with it ("LoRA") it reads what the model's output head reads,
after the final norm. What a head reads says nothing about what the model says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workbench import progress
from workbench.config import HeadSettings
from workbench.elicit.conversation import Conversation
from workbench.files.writing import write_atomically
from workbench.probe.states import States
from workbench.teach.examples import Example, TokenTarget
from workbench.teach.training import train_adapter
from workbench.teach.training_job import HeadInputs, TrainingJob, TrainingResult
from workbench.trace.batches import map_batches
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts
from workbench.trace.token_tree import TokenTree

POSITION = "answer_end"
FILE = "head.safetensors"


def head_network(width: int, hidden: Sequence[int]) -> nn.Sequential:
    """Build the network for states of ``width``, with ``hidden`` units a layer."""
    sizes = (width, *hidden)
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 2))


def teach_head(job: TrainingJob) -> TrainingResult:
    """Train the head on the recorded states."""
    return teach_on(_features(job.states(POSITION)), job)


def teach_on(features: Tensor, job: TrainingJob) -> TrainingResult:
    """Train the head on ``features`` [n, width] of the job and save it, with the standardisation of
    the features, in the job's folder.
    """
    mean, scale = features.mean(dim=0), features.std(dim=0).clamp(min=1e-6)
    wanted = torch.as_tensor(job.targets, dtype=torch.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        network = head_network(features.shape[1], job.settings.head.widths)
        log = _train(
            network,
            (features - mean) / scale,
            torch.stack([1 - wanted, wanted], dim=1),
            job.settings.head,
            job.description,
        )
    _save(network, job.folder, {"mean": mean, "scale": scale})
    return TrainingResult(job.lm, log, 0, len(features))


def read_head(judged: HeadInputs) -> NDArray[np.float64]:
    """Read the saved head's probability [n] that each answer is right."""
    return read_on(_features(judged.states(POSITION)), judged.folder)


def read_on(features: Tensor, folder: Path) -> NDArray[np.float64]:
    """Read the probability [n] that the head saved in ``folder`` gives ``features`` [n, width]."""
    network, shift = _load(folder)
    return _probability(network, (features - shift["mean"]) / shift["scale"])


def teach_head_and_adapter(job: TrainingJob) -> TrainingResult:
    """Train the head together with an adapter on the conversation up to the answer's end, and
    save both.
    """
    prompts = _up_to_answer(job.conversations)
    examples = [
        Example(prompt, TokenTree(), (TokenTarget(0.0, (0,), (1.0,)),)) for prompt in prompts
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        network = head_network(job.lm.width, job.settings.head.widths).to(job.lm.device)
    wanted = torch.as_tensor(job.targets, dtype=torch.float32)
    seen: list[Tensor] = []

    def loss(rows: Sequence[int], logits: Tensor) -> Tensor:
        right = wanted[list(rows)].to(logits.device)
        # A row that all share is computed in a separate pass before theirs.
        states = seen[-1][:, 0]
        seen.clear()
        told = network(states.float())
        return nn.functional.cross_entropy(told.float(), torch.stack([1 - right, right], dim=1))

    watched = job.lm.head().register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        tuned, log = train_adapter(
            job.lm, examples, job.settings, job.folder,
            seed=job.seed, description=job.description, loss=loss, extra_module=network,
        )  # fmt: skip
    finally:
        watched.remove()
    _save(network, job.folder, {})
    return TrainingResult(tuned, log, sum(map(len, prompts)) * job.settings.epochs, len(prompts))


def read_head_and_adapter(judged: HeadInputs) -> NDArray[np.float64]:
    """Read the saved head's probability [n] that each answer is right, from passes of the tuned
    model.
    """
    network, _ = _load(judged.folder)
    prompts = _up_to_answer(judged.conversations)
    with judged.with_adapter() as lm:

        def read(rows: NDArray[np.int64]) -> NDArray[np.float64]:
            padded = pad_prompts(
                [prompts[row] for row in rows], lm.tokenizer.pad_token_id, lm.device
            )
            last = torch.full((padded.rows, 1), padded.columns - 1, device=lm.device)
            final = forward(lm, padded, empty_tail(padded), last).final[:, 0]
            return _probability(network, final.float().cpu())

        return map_batches(
            [len(p) for p in prompts],
            judged.tokens_per_forward,
            read,
            description="reading the head",
        )


def _up_to_answer(conversations: Sequence[Conversation]) -> list[tuple[int, ...]]:
    return [
        conversation.tokens[: conversation.position(POSITION) + 1] for conversation in conversations
    ]


def _save(network: nn.Sequential, folder: Path, more: dict[str, Tensor]) -> None:
    saved = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    write_atomically(folder / FILE, lambda path: save_file({**saved, **more}, path))


def _load(folder: Path) -> tuple[nn.Sequential, dict[str, Tensor]]:
    """Load the network, and the tensors saved with it."""
    saved = load_file(folder / FILE)
    more: dict[str, Tensor] = {name: saved.pop(name) for name in ("mean", "scale") if name in saved}
    # Linear layers and activations alternate; the last linear layer gives the two classes.
    layers = sorted(int(name.split(".")[0]) for name in saved if name.endswith(".weight"))
    hidden = [len(saved[f"{layer}.weight"]) for layer in layers[:-1]]
    network = head_network(saved["0.weight"].shape[1], hidden)
    network.load_state_dict(saved)
    return network, more


def _probability(network: nn.Sequential, features: Tensor) -> NDArray[np.float64]:
    with torch.no_grad():
        return network(features).double().softmax(dim=-1)[:, 1].numpy()


def _features(states: States) -> Tensor:
    return torch.as_tensor(np.asarray(states[:, -1]), dtype=torch.float32)


def _train(
    network: nn.Sequential,
    features: Tensor,
    wanted: Tensor,
    settings: HeadSettings,
    description: str,
) -> list[dict[str, float]]:
    steps = settings.epochs * math.ceil(len(features) / settings.batch_size)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    log: list[dict[str, float]] = []
    for _ in progress.track(range(settings.epochs), description):
        for rows in torch.randperm(len(features)).split(settings.batch_size):
            loss = nn.functional.cross_entropy(network(features[rows]), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            log.append(
                {
                    "step": len(log) + 1,
                    "loss": loss.item(),
                    "learning_rate": float(schedule.get_last_lr()[0]),
                }
            )
    return log
