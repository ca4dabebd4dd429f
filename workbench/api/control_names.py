"""Name the controls of a patch, and number the sites whose random vectors they draw."""

from __future__ import annotations

from collections.abc import Collection

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.sites import COMPONENTS, Site

RANDOM_VECTOR, OTHER_PROMPT, RANDOM_POSITION, OWN_STATE = CONTROLS = (
    "random_vector",
    "other_prompt",
    "random_position",
    "own_state",
)

Controls = bool | Collection[str]
"""All controls, none, or those that are named."""


def wanted_controls(controls: Controls) -> frozenset[str]:
    """Return the names of the controls that are asked for.

    Raises:
        WorkbenchError: for a control that does not exist.
    """
    if isinstance(controls, bool):
        return frozenset(CONTROLS) if controls else frozenset()
    named = frozenset([controls] if isinstance(controls, str) else controls)
    if not named <= {*CONTROLS}:
        raise WorkbenchError(
            f"Name controls of {', '.join(CONTROLS)}; not {', '.join(sorted(named - {*CONTROLS}))}."
        )
    return named


def site_number(lm: LanguageModel, site: Site) -> int:
    """Return a number of a site's own, so that its random direction is the same whichever layers
    are patched with it: the layer in the stream after a layer.
    """
    order = (COMPONENTS.index(site.component) - COMPONENTS.index("resid_post")) % len(COMPONENTS)
    index = 0 if site.index is None else site.index
    return site.layer + lm.n_layers * (order + len(COMPONENTS) * index)
