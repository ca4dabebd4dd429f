"""List where each model family keeps its parts: a table of module paths, one row per family.

The workbench leaves a model the Hugging Face module it is and addresses its parts by path. A row
says where the decoder layers, the final norm, the token embedding and the head are, and inside a
layer the attention, the MLP and the attention's output projection. Model-level paths start at the
causal language model (``model.get_submodule(path)``), layer-level paths at the layer; an empty
layer-level path means that not every layer of the family has that part.

A layer adds two vectors to the residual stream. ``attention_added`` and ``mlp_added`` are the
modules whose output (a tensor, or a tuple that starts with one) is what is added, up to
``added_multiplier``: after a family's own norm where it has one on that path. ``mid`` is the module
whose input is the stream between the two.

Adding a family: print the model, write a row, build a
:class:`~workbench.models.language_model.LanguageModel` with it and call
:func:`workbench.models.validate`, which checks every claim of the row on a real forward.

``packable`` says that a layer mixes positions through masked attention alone, so that many patched
copies of a token can share one forward. It does not say anything about the quality of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Architecture:
    """The module paths and peculiarities of one family (``config.model_type``).

    ``query``, ``key`` and ``value`` are the modules whose outputs these are, one module where they
    are computed together: queries, keys and values one after another, or head by head
    (``joined_by_head``). ``grouped_queries`` is False where the family has a key-value head for
    every query head, whatever its configuration says. ``neurons`` is the module that reads the
    MLP's hidden layer, ``neuron_count`` the configuration entry that counts them (four times the
    stream's width where it says nothing).

    ``sdpa`` is False where the family's attention cannot run, or loses a term, with scaled dot
    product kernels. ``mask_by_layer_type`` says that the decoder takes a dict {layer type: mask} of
    4-D masks, not a single one. ``logit_multiplier``, ``logit_divisor`` and ``logit_softcap`` name
    the configuration entries (empty: none) that turn the head's output z into logits: softcap *
    tanh(z * multiplier / divisor / softcap). ``added_multiplier`` names the entry that multiplies
    both added vectors (empty: none), ``parallel`` the entry that, when true, makes attention and
    MLP read the same stream, so that there is nothing between them.

    Raises:
        WorkbenchError: for an empty path that every family needs, and where ``why_not`` and
            ``packable`` disagree.
    """

    family: str
    layers: str
    final_norm: str
    embedding: str
    head: str
    attention: str
    mlp: str
    attention_output: str
    packable: bool
    query: str = ""
    key: str = ""
    value: str = ""
    joined_by_head: bool = False
    grouped_queries: bool = True
    neurons: str = ""
    neuron_count: str = "intermediate_size"
    attention_added: str = ""
    mlp_added: str = ""
    mid: str = ""
    added_multiplier: str = ""
    parallel: str = ""
    why_not: str = ""
    sdpa: bool = True
    mask_by_layer_type: bool = False
    logit_multiplier: str = ""
    logit_divisor: str = ""
    logit_softcap: str = ""

    def __post_init__(self) -> None:
        for name in ("family", "layers", "final_norm", "embedding", "head"):
            if not getattr(self, name):
                raise WorkbenchError(
                    f"the architecture row of {self.family or 'a family'} has an empty {name!r}"
                )
        if self.packable == bool(self.why_not):
            raise WorkbenchError(
                f"the architecture row of {self.family!r} must give why_not exactly when packable "
                "is False"
            )


def _llama_layout(family: str, **differences: Any) -> Architecture:
    """Return a row with the module names that most families took over from llama, and what
    differs.
    """
    common: dict[str, Any] = {
        "layers": "model.layers",
        "final_norm": "model.norm",
        "embedding": "model.embed_tokens",
        "head": "lm_head",
        "attention": "self_attn",
        "mlp": "mlp",
        "attention_output": "self_attn.o_proj",
        "query": "self_attn.q_proj",
        "key": "self_attn.k_proj",
        "value": "self_attn.v_proj",
        "neurons": "mlp.down_proj",
        "attention_added": "self_attn",
        "mlp_added": "mlp",
        "mid": "post_attention_layernorm",
        "packable": True,
    }
    return Architecture(family=family, **{**common, **differences})


_NORMS_AFTER = {
    "attention_added": "post_attention_layernorm",
    "mlp_added": "post_feedforward_layernorm",
}
_EXPERTS = {"neurons": ""}
_FOUR_NORMS = {**_NORMS_AFTER, "mid": "pre_feedforward_layernorm"}


_ROWS = (
    _llama_layout("llama"),
    _llama_layout("mistral"),
    _llama_layout("mixtral", **_EXPERTS),
    _llama_layout("qwen2", mask_by_layer_type=True),
    _llama_layout("qwen3", mask_by_layer_type=True),
    _llama_layout("qwen3_moe", **_EXPERTS),
    _llama_layout(
        "gemma2",
        mask_by_layer_type=True,
        sdpa=False,
        logit_softcap="final_logit_softcapping",
        **_FOUR_NORMS,
    ),
    _llama_layout(
        "gemma3_text",
        mask_by_layer_type=True,
        logit_softcap="final_logit_softcapping",
        **_FOUR_NORMS,
    ),
    _llama_layout("phi3", **dict.fromkeys(("query", "key", "value"), "self_attn.qkv_proj")),
    _llama_layout("olmo2", mid="mlp", **_NORMS_AFTER),
    _llama_layout("gpt_oss", mask_by_layer_type=True, sdpa=False, **_EXPERTS),
    _llama_layout("cohere2", mask_by_layer_type=True, logit_multiplier="logit_scale", mid=""),
    _llama_layout(
        "granite", logit_divisor="logits_scaling", added_multiplier="residual_multiplier"
    ),
    _llama_layout("smollm3", mask_by_layer_type=True),
    Architecture(
        family="gpt_neox",
        layers="gpt_neox.layers",
        final_norm="gpt_neox.final_layer_norm",
        embedding="gpt_neox.embed_in",
        head="lm_head",
        attention="attention",
        mlp="mlp",
        attention_output="attention.dense",
        query="attention.query_key_value",
        key="attention.query_key_value",
        value="attention.query_key_value",
        joined_by_head=True,
        grouped_queries=False,
        neurons="mlp.dense_4h_to_h",
        packable=True,
        attention_added="attention",
        mlp_added="mlp",
        mid="post_attention_layernorm",
        parallel="use_parallel_residual",
    ),
    Architecture(
        family="gpt2",
        layers="transformer.h",
        final_norm="transformer.ln_f",
        embedding="transformer.wte",
        head="lm_head",
        attention="attn",
        mlp="mlp",
        attention_output="attn.c_proj",
        query="attn.c_attn",
        key="attn.c_attn",
        value="attn.c_attn",
        grouped_queries=False,
        neurons="mlp.c_proj",
        neuron_count="n_inner",
        packable=True,
        attention_added="attn",
        mlp_added="mlp",
        mid="ln_2",
    ),
    _llama_layout(
        "falcon_h1",
        final_norm="model.final_layernorm",
        mlp="feed_forward",
        neurons="feed_forward.down_proj",
        attention_added="",
        mlp_added="feed_forward",
        mid="pre_ff_layernorm",
        packable=False,
        why_not=(
            "its layers carry a recurrent (Mamba) state from token to token, which no attention "
            "mask can separate"
        ),
        logit_multiplier="lm_head_multiplier",
    ),
    _llama_layout(
        "qwen3_next",
        attention="",
        attention_output="",
        query="",
        key="",
        value="",
        neurons="",
        attention_added="",
        packable=False,
        why_not="its linear-attention layers carry a recurrent state from token to token, which no "
        "attention mask can separate",
    ),
)

ARCHITECTURES: dict[str, Architecture] = {row.family: row for row in _ROWS}


def architecture_of(config: Any) -> Architecture:
    """Return the row of ``config.model_type``.

    Raises:
        WorkbenchError: for an unknown family, telling how to add one.
    """
    family = str(getattr(config, "model_type", "") or "")
    if family in ARCHITECTURES:
        return ARCHITECTURES[family]
    raise WorkbenchError(
        f"the model family {family!r} is unknown to the workbench: add a row for it to _ROWS in "
        "workbench/models/architectures.py (print the model to see its module paths), build a "
        "LanguageModel with that "
        "row and check it with workbench.models.validate(language_model). "
        f"Known families: {', '.join(sorted(ARCHITECTURES))}"
    )
