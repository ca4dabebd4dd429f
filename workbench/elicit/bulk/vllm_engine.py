"""Write answers and samples with vLLM, and let it record hidden states into files.

vLLM is imported when an engine is opened, never otherwise; it is the extra ``vllm`` of this
package. Used is what its documentation promises: ``LLM``, ``SamplingParams``, and of a
``RequestOutput`` its ``outputs``' ``token_ids`` and ``logprobs``. Prompts are given as token ids,
and vLLM loads no tokenizer: chat template and tokenisation are those of the exact path. Greedy text
is temperature 0; samples have a seed for each prompt, so that they do not depend on what else is
drawn. The same seed draws other samples than the exact path does.

The exact path needs the model too, to read scales and states and to compare the first texts, so
vLLM is given a share of the accelerator's memory and not all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from workbench.elicit.bulk.engine import Continuations
from workbench.errors import WorkbenchError

RECORDS = "extract_hidden_states"
CONNECTOR = "ExampleHiddenStatesConnector"
PATH = "hidden_states_path"


def require_vllm() -> None:
    """Refuse to go on where vLLM is not installed.

    Raises:
        WorkbenchError: naming the extra.
    """
    if find_spec("vllm") is None:
        raise WorkbenchError(
            "elicit.engine=vllm needs the package vllm: install confidence-workbench[vllm] on a "
            "machine that vLLM supports, or set elicit.engine=exact."
        )


@dataclass(frozen=True, eq=False)
class VllmEngine:
    """vLLM with a model loaded; ``llm`` is its ``LLM``."""

    llm: Any

    def write(
        self, prompts: Sequence[Sequence[int]], limit: int, stop: Sequence[int]
    ) -> Continuations:
        """Continue prompts as :class:`~workbench.elicit.bulk.engine.BulkEngine` says.

        Raises:
            WorkbenchError: for an answer that is not the request's.
        """
        how = _sampling(temperature=0.0, max_tokens=limit, stop_token_ids=list(stop), logprobs=0)
        answers = self._generate(prompts, how)
        tokens, scores = [], []
        for answer in answers:
            [output] = answer.outputs
            ids = _through_stop(output, stop)
            tokens.append(ids)
            scores.append([float(step[i].logprob) for step, i in _steps(output, ids)])
        return Continuations(tokens, scores)

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        limit: int,
        stop: Sequence[int],
        *,
        samples: int,
        temperature: float,
        top_p: float,
        seeds: Sequence[int],
    ) -> list[list[list[int]]]:
        """Draw as :class:`~workbench.elicit.bulk.engine.BulkEngine` says.

        Raises:
            WorkbenchError: for an answer that is not the request's.
        """
        each = [
            _sampling(
                n=samples,
                temperature=temperature,
                top_p=top_p,
                seed=seed,
                max_tokens=limit,
                stop_token_ids=list(stop),
            )
            for seed in seeds
        ]
        found = []
        for answer in self._generate(prompts, each):
            if len(answer.outputs) != samples:
                raise WorkbenchError(
                    f"vLLM returned {len(answer.outputs)} samples where {samples} were asked for; "
                    "set elicit.engine=exact."
                )
            ordered = sorted(answer.outputs, key=lambda output: output.index)
            found.append([_through_stop(output, stop) for output in ordered])
        return found

    def record(self, prompts: Sequence[Sequence[int]]) -> list[Path]:
        """Run prompts through an engine opened with :func:`recording_arguments`; return the file
        with each one's hidden states, for :func:`workbench.states.vllm_files.import_vllm_states`.

        Raises:
            WorkbenchError: where vLLM wrote no file.
        """
        paths = []
        for answer in self._generate(prompts, _sampling(temperature=0.0, max_tokens=1)):
            written = (answer.kv_transfer_params or {}).get(PATH)
            if written is None:
                raise WorkbenchError(
                    "vLLM wrote no hidden states: open it with the arguments of "
                    "recording_arguments."
                )
            paths.append(Path(written))
        return paths

    def _generate(self, prompts: Sequence[Sequence[int]], how: Any) -> list[Any]:
        given = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        answers: list[Any] = self.llm.generate(given, how, use_tqdm=False)
        said = [list(answer.prompt_token_ids or ()) for answer in answers]
        if said != [one["prompt_token_ids"] for one in given]:
            raise WorkbenchError(
                "vLLM answered other prompts than it was given; set elicit.engine=exact."
            )
        return answers


def open_vllm(
    place: str,
    *,
    dtype: str,
    seed: int,
    memory: float,
    devices: int,
    revision: str | None = None,
    trust_remote_code: bool = False,
    **more: Any,
) -> VllmEngine:
    """Load the model at ``place``, a folder or hub id, in vLLM.

    Args:
        dtype: of the weights, that of the exact path.
        memory: share of each accelerator's memory that vLLM takes.
        devices: accelerators that the weights are split over.
        more: further arguments of vLLM's ``LLM``, such as those of :func:`recording_arguments`.

    Raises:
        WorkbenchError: where vLLM is missing, or does not load the model.
    """
    require_vllm()
    from vllm import LLM

    try:
        llm = LLM(
            model=place,
            skip_tokenizer_init=True,
            dtype=dtype,
            seed=seed,
            gpu_memory_utilization=memory,
            tensor_parallel_size=devices,
            revision=revision,
            trust_remote_code=trust_remote_code,
            **more,
        )
    except Exception as error:  # vLLM raises what its workers raised
        told = " ".join(str(error).split()) or type(error).__name__
        raise WorkbenchError(
            f"vLLM does not load {place!r} ({told}): lower elicit.engine_memory if memory is "
            "short, or set elicit.engine=exact."
        ) from error
    return VllmEngine(llm)


def recording_arguments(layers: Sequence[int], folder: Path) -> dict[str, Any]:
    """Return the arguments of vLLM's ``LLM`` that make it write the residual stream after
    ``layers``, counted from 0 as here, into files in ``folder``.

    vLLM counts what enters a layer, so the state after layer l is its layer l + 1, and that after
    the last layer, before the final norm, its layer count. Prompts are computed whole: chunks and
    reused beginnings would leave states out.
    """
    return {
        "enable_chunked_prefill": False,
        "enable_prefix_caching": False,
        "speculative_config": {
            "method": RECORDS,
            "num_speculative_tokens": 1,
            "draft_model_config": {
                "hf_config": {"eagle_aux_hidden_state_layer_ids": [layer + 1 for layer in layers]}
            },
        },
        "kv_transfer_config": {
            "kv_connector": CONNECTOR,
            "kv_role": "kv_producer",
            "kv_connector_extra_config": {"shared_storage_path": str(folder)},
        },
    }


def _sampling(**options: Any) -> Any:
    from vllm import SamplingParams

    return SamplingParams(detokenize=False, **options)


def _through_stop(output: Any, stop: Sequence[int]) -> list[int]:
    """Return the tokens up to the first that stops, which is kept."""
    ends, ids = set(stop), [int(token) for token in output.token_ids]
    for at, token in enumerate(ids):
        if token in ends:
            return ids[: at + 1]
    return ids


def _steps(output: Any, ids: Sequence[int]) -> list[tuple[Any, int]]:
    """Pair each token with the log-probabilities of its step.

    Raises:
        WorkbenchError: where a step has none.
    """
    steps = output.logprobs
    if steps is None or len(steps) < len(ids):
        raise WorkbenchError(
            "vLLM returned no log-probabilities of its tokens; set elicit.engine=exact."
        )
    return list(zip(steps, ids, strict=False))
