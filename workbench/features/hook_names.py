"""Read which component of which layer a published name of a hook point means.

Names are those of TransformerLens ("blocks.5.hook_resid_post"), of Gemma Scope 2's configuration
("model.layers.5.output", "model.layers.5.pre_feedforward_layernorm.output"), and of the folders
that EleutherAI's sparsify writes ("layers.5", "layers.5.mlp").

``ln2.hook_normalized`` of TransformerLens is the MLP's input before the gain of the norm: the
tensor that the MLP is given, over that gain. TransformerLens' ``hook_mlp_in`` is the stream before
the norm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.trace.sites import Component

COMPONENTS_BY_NAME: dict[str, Component] = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_mlp_in": "resid_mid",
    "hook_resid_post": "resid_post",
    "hook_attn_out": "attn_out",
    "ln2.hook_normalized": "mlp_in",
    "mlp.hook_in": "mlp_in",
    "hook_mlp_out": "mlp_out",
    "mlp.hook_out": "mlp_out",
    "": "resid_post",
    "output": "resid_post",
    "pre_feedforward_layernorm.output": "mlp_in",
    "post_feedforward_layernorm.output": "mlp_out",
    "post_attention_layernorm.output": "attn_out",
    "mlp": "mlp_out",
}
WITHOUT_GAIN = "ln2.hook_normalized"
_NAME = re.compile(r"(?:.*\.)?(?:blocks|layers)\.(\d+)(?:\.(.*))?")


@dataclass(frozen=True)
class HookName:
    """A hook point; ``layer`` is None where the name leaves it open. ``without_gain`` says that it
    is ``component`` over the gain of the norm before it.
    """

    layer: int | None
    component: Component
    without_gain: bool = False


def read_hook_name(name: str) -> HookName:
    """Return what a name means.

    Raises:
        WorkbenchError: for a name that means no whole component of a layer.
    """
    found = _NAME.fullmatch(name)
    layer, rest = (int(found[1]), found[2] or "") if found else (None, name)
    if rest not in COMPONENTS_BY_NAME or (found is None and rest == ""):
        known = ", ".join(filter(None, COMPONENTS_BY_NAME))
        raise WorkbenchError(
            f"The hook point {name!r} is no whole component of a layer here; known after the layer "
            f"are {known}. Say what it is by site= and source=."
        )
    return HookName(layer, COMPONENTS_BY_NAME[rest], rest == WITHOUT_GAIN)
