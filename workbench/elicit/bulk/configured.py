"""Open the engine that a run's settings name, and attach it to the run's model."""

from __future__ import annotations

from workbench.config import ElicitSettings, ModelSettings
from workbench.elicit.bulk.agreement import CheckedEngine
from workbench.elicit.bulk.engine import attach_bulk
from workbench.elicit.bulk.vllm_engine import open_vllm, require_vllm
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.source import find_source


def check_engine(model: ModelSettings, elicit: ElicitSettings) -> None:
    """Refuse an engine that is not there, or would write with other weights than the exact path
    has. This loads nothing.

    Raises:
        WorkbenchError: for such an engine.
    """
    if elicit.engine == "exact":
        return
    if model.quantize != "none":
        raise WorkbenchError(
            f"model.quantize={model.quantize} quantises the weights of the exact path alone, and "
            "elicit.engine=vllm would write with others: set model.quantize=none, or name a "
            "checkpoint that is quantised."
        )
    if model.placement == "ndif":
        raise WorkbenchError(
            "With model.placement=ndif the server writes the answers: set elicit.engine=exact."
        )
    require_vllm()


def use_engine(lm: LanguageModel, model: ModelSettings, elicit: ElicitSettings, seed: int) -> None:
    """Let the engine that the settings name write for the model; once.

    Raises:
        WorkbenchError: as :func:`check_engine`, and where the engine does not load the model.
    """
    if elicit.engine == "exact":
        return
    check_engine(model, elicit)
    source = find_source(model.name, None, None)
    engine = open_vllm(
        source.place,
        dtype=str(lm.dtype).removeprefix("torch."),
        seed=seed,
        memory=elicit.engine_memory,
        devices=elicit.engine_devices,
        revision=None if source.local else source.revision,
        trust_remote_code=model.trust_remote_code,
    )
    checked = CheckedEngine(
        lm, engine, "vLLM", elicit.engine_rows, elicit.engine_agreement, model.tokens_per_forward
    )
    attach_bulk(lm, checked)
