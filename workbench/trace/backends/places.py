"""Describe sites as plain data: the path of a module, its input or output, and which part of the
width.

Built on the places of :mod:`workbench.models.components`, for libraries that address modules by
path and must be told about them in the order a forward reaches them.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.models import LanguageModel, components
from workbench.models.slices import slices_of
from workbench.trace.checks import site_width
from workbench.trace.sites import Component, Site

FORWARD_ORDER: tuple[Component, ...] = (
    "resid_pre",
    "query",
    "key",
    "value",
    "head_out",
    "attn_out",
    "resid_mid",
    "mlp_in",
    "neuron",
    "mlp_out",
    "resid_post",
)


@dataclass(frozen=True)
class RemoteHookPoint:
    """A site as plain data: ``factor`` times entries ``start`` to ``stop`` of a module's first
    input or output is the state there. The side "given" is an input too, and is written in a copy,
    because the tensor may be the stream, which goes on beside the module.

    ``path`` starts at the transformers causal language model, adapters inside.
    """

    path: str
    side: str
    start: int
    stop: int
    factor: float


def forward_order(site: Site) -> tuple[int, int]:
    """Return a key that sorts sites as a forward reaches them; slices of a component share one."""
    return site.layer, FORWARD_ORDER.index(site.component)


def places_of(lm: LanguageModel, sites: list[Site]) -> list[RemoteHookPoint]:
    """Return the place of each site.

    Raises:
        WorkbenchError: for a site the family lacks.
    """
    paths = {id(module): path for path, module in lm.base().named_modules()}
    places = []
    for site in sites:
        found = components.place_of(lm, site.layer, site.component)
        slices = slices_of(lm, site.component)
        start = 0 if slices is None else slices.first(site.index or 0)
        stop = start + site_width(lm, site)
        side = "given" if site.component == "mlp_in" else found.side
        places.append(RemoteHookPoint(paths[id(found.module)], side, start, stop, found.scale))
    return places
