"""Where a component lies in a Hugging Face decoder layer: a module, its input or output, and the columns of a head.

A row a family. Sequential families have a residual stream between attention and MLP, which is what the norm before the
MLP (or the MLP itself, where no norm stands before it) takes in. That tensor is also the one the MLP's output is added to, so
a write must change it *in place*; replacing the module's argument would leave the addition untouched.

Where a norm or a multiplier stands between attention or MLP and the stream, the place is behind the norm, and ``factor``
turns what the module returns into what is added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends.inputs import head_size
from workbench.trace.sites import COMPONENTS, Site

Side = Literal["input", "output"]
FORWARD_ORDER = ("resid_pre", "head_out", "attn_out", "resid_mid", "mlp_out", "resid_post")


@dataclass(frozen=True)
class Additions:
    """Layer-level paths of one family; an empty path means that the family has no such place.

    Attributes:
        attn_out, mlp_out: modules whose output, times ``multiplier``, is added to the stream.
        resid_mid: the module whose input is the stream between the two additions.
        multiplier: the configuration entry that scales both additions, empty for none.
        parallel: the configuration entry that says attention and MLP read one stream, empty when ``resid_mid`` decides.
    """

    attn_out: str
    mlp_out: str
    resid_mid: str
    multiplier: str = ""
    parallel: str = ""


PRE_NORM = Additions("self_attn", "mlp", "post_attention_layernorm")
BOTH_NORMS = Additions("post_attention_layernorm", "post_feedforward_layernorm", "pre_feedforward_layernorm")
ADDITIONS: dict[str, Additions] = {
    **dict.fromkeys(
        ("llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "phi3", "gpt_oss", "smollm3"), PRE_NORM
    ),
    **dict.fromkeys(("gemma2", "gemma3_text"), BOTH_NORMS),
    "olmo2": Additions("post_attention_layernorm", "post_feedforward_layernorm", "mlp"),
    "granite": replace(PRE_NORM, multiplier="residual_multiplier"),
    "cohere2": Additions("self_attn", "mlp", ""),
    "gpt_neox": Additions("attention", "mlp", "post_attention_layernorm", parallel="use_parallel_residual"),
    "gpt2": Additions("attn", "mlp", "ln_2"),
}


@dataclass(frozen=True)
class Place:
    """``factor`` times columns ``start`` to ``stop`` of a module's first input or output is the state at a site.

    ``path`` starts at the causal language model; ``order`` sorts the places of a model as a forward reaches them.
    """

    path: str
    side: Side
    start: int
    stop: int
    factor: float
    order: tuple[int, int]


def place_of(lm: LanguageModel, site: Site, backend: str) -> Place:
    """The place of ``site``; :class:`WorkbenchError` naming ``backend`` when the family has none."""
    path, side, factor = _module(lm, site)
    if not path and site.component not in ("resid_pre", "resid_post"):
        reachable = [c for c in COMPONENTS if c in ("resid_pre", "resid_post") or _module(lm, _like(site, c))[0]]
        raise WorkbenchError(
            f"The {backend} backend cannot reach {site.component!r} in {lm.architecture.family}: the family has no such "
            f"place in its row of workbench/trace/backends/places.py; use one of {', '.join(reachable)}."
        )
    start = 0 if site.head is None else site.head * head_size(lm)
    stop = lm.width if site.head is None else start + head_size(lm)
    layer = f"{lm.architecture.layers}.{site.layer}"
    order = (site.layer, FORWARD_ORDER.index(site.component))
    return Place(f"{layer}.{path}" if path else layer, side, start, stop, factor, order)


def _like(site: Site, component: str) -> Site:
    head = 0 if component == "head_out" else None
    return Site(site.layer, component, head)  # type: ignore[arg-type]  # iterated from COMPONENTS


def _module(lm: LanguageModel, site: Site) -> tuple[str, Side, float]:
    row = ADDITIONS.get(lm.architecture.family, Additions("", "", ""))
    factor = float(getattr(lm.config, row.multiplier)) if row.multiplier else 1.0
    match site.component:
        case "resid_pre":
            return "", "input", 1.0
        case "resid_post":
            return "", "output", 1.0
        case "head_out":
            return lm.architecture.attention_output, "input", 1.0
        case "attn_out":
            return row.attn_out, "output", factor
        case "mlp_out":
            return row.mlp_out, "output", factor
        case _:
            parallel = bool(row.parallel and getattr(lm.config, row.parallel))
            return "" if parallel else row.resid_mid, "input", 1.0
