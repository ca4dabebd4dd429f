"""A stand-in for the package vllm: the classes its documentation promises, with those attributes
alone, answering with a tiny model's own passes; and files as its hidden-state connector writes them.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from workbench.models import LanguageModel


@dataclass
class SamplingParams:
    """vllm.SamplingParams, as far as it is used; an unknown name is an error there too."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    max_tokens: int | None = 16
    logprobs: int | None = None
    detokenize: bool = True


@dataclass
class Logprob:
    """vllm.logprobs.Logprob."""

    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class CompletionOutput:
    """vllm.outputs.CompletionOutput."""

    index: int
    text: str
    token_ids: Sequence[int]
    cumulative_logprob: float | None
    logprobs: list[dict[int, Logprob]] | None
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclass
class RequestOutput:
    """vllm.outputs.RequestOutput."""

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int] | None
    outputs: list[CompletionOutput]
    finished: bool = True
    kv_transfer_params: dict[str, Any] | None = None


@dataclass
class RecordedVllm:
    """The package, and what it was told.

    Attributes:
        loaded: the arguments of every ``LLM``.
        asked: the sampling parameters of every prompt.
        change: what is done to the logits of a step, as another kernel or checkpoint would.
    """

    lm: LanguageModel
    loaded: list[dict[str, Any]] = field(default_factory=list)
    asked: list[SamplingParams] = field(default_factory=list)
    change: Callable[[torch.Tensor], torch.Tensor] = lambda logits: logits

    def module(self) -> types.ModuleType:
        """Return what stands as ``vllm`` in sys.modules."""
        made: Any = types.ModuleType("vllm")
        made.LLM, made.SamplingParams = self._open, SamplingParams
        made.__spec__ = types.SimpleNamespace(name="vllm")
        return made

    def _open(self, **options: Any) -> RecordedVllm:
        self.loaded.append(options)
        return self

    def generate(
        self,
        prompts: Sequence[dict[str, list[int]]],
        sampling_params: SamplingParams | Sequence[SamplingParams],
        use_tqdm: bool = True,
    ) -> list[RequestOutput]:
        """vllm.LLM.generate."""
        each = (
            [sampling_params] * len(prompts)
            if isinstance(sampling_params, SamplingParams)
            else list(sampling_params)
        )
        self.asked += each
        return [
            self._answer(number, prompt["prompt_token_ids"], how)
            for number, (prompt, how) in enumerate(zip(prompts, each, strict=True))
        ]

    def _answer(self, number: int, prompt: list[int], how: SamplingParams) -> RequestOutput:
        outputs = [self._output(index, prompt, how) for index in range(how.n)]
        where = None
        connector = self.loaded[-1].get("kv_transfer_config") if self.loaded else None
        if connector is not None:
            folder = connector["kv_connector_extra_config"]["shared_storage_path"]
            config = self.loaded[-1]["speculative_config"]["draft_model_config"]["hf_config"]
            path = Path(folder) / f"{number}.safetensors"
            write_hidden_states(self.lm, prompt, config["eagle_aux_hidden_state_layer_ids"], path)
            where = {"hidden_states_path": str(path)}
        return RequestOutput(str(number), None, list(prompt), outputs, True, where)

    def _output(self, index: int, prompt: list[int], how: SamplingParams) -> CompletionOutput:
        draw = torch.Generator().manual_seed((how.seed or 0) + index)
        ids: list[int] = []
        steps: list[dict[int, Logprob]] = []
        for _ in range(how.max_tokens or 16):
            tokens = torch.tensor([[*prompt, *ids]])
            logits = self.change(self.lm.base()(input_ids=tokens).logits[0, -1])
            if how.temperature == 0:
                token = int(logits.argmax())
            else:
                token = int(
                    torch.multinomial((logits / how.temperature).softmax(-1), 1, generator=draw)
                )
            ids.append(token)
            steps.append({token: Logprob(float(logits.log_softmax(-1)[token]), 1)})
            if token in (how.stop_token_ids or ()):
                break
        return CompletionOutput(
            index, "", tuple(ids), None, None if how.logprobs is None else steps, "stop"
        )


def write_hidden_states(
    lm: LanguageModel, prompt: Sequence[int], vllm_layers: Sequence[int], path: Path
) -> None:
    """Write one file as vLLM's connector does: ``hidden_states`` [tokens, layers, width], what
    enters each of its layers, and ``token_ids`` [tokens].
    """
    streams: list[torch.Tensor] = []
    handles = [lm.embedding().register_forward_hook(lambda m, a, out: streams.append(out.detach()))]
    for layer in lm.layers():
        handles.append(
            layer.register_forward_hook(
                lambda m, a, out: streams.append(
                    (out[0] if isinstance(out, tuple) else out).detach()
                )
            )
        )
    with torch.no_grad():
        lm.base()(input_ids=torch.tensor([list(prompt)]))
    for handle in handles:
        handle.remove()
    states = torch.stack([streams[number][0] for number in vllm_layers], dim=1).contiguous()
    save_file({"hidden_states": states, "token_ids": torch.tensor(list(prompt))}, path)
