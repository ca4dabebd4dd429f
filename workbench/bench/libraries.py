"""List the libraries the packed sweep is compared with: one row each, written as its users would
write it.

The loop is a forward hook that writes the state and the model's own forward, once per branch: the
same call as the plain forward and the fastest way without packing. nnsight and transformer-lens run
through the project's backends, pyvene through :mod:`workbench.bench.pyvene_library`; all of them
read the unpatched prompt once and every branch once. Donors are recorded beforehand for all. What a
library does around its forwards (a session, a bridge, a wrapper for each branch) counts as its
cost; importing it and building a bridge, once per process, does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from workbench.bench.inputs import ONE_FORWARD, BenchInputs
from workbench.bench.pyvene_library import PyveneLibrary, pyvene_installed
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.layer_output import hidden_of
from workbench.trace.backends import Engine, TokenRows, engine
from workbench.trace.interventions import Branch, Patched, Readout, patches_of

Sweep = Callable[[TokenRows, Sequence[Branch], Readout], Patched]
PYVENE_MISSING = (
    "pyvene is not installed, so it was not measured: pip install 'confidence-workbench[bench]'."
)


@dataclass(frozen=True)
class Library:
    """A library to compare with: ``name`` on the command line, ``key`` in results, how its sweep is
    built, and whether and why not it can run.
    """

    name: str
    key: str
    build: Callable[[LanguageModel], Sweep]
    present: Callable[[], bool] = lambda: True
    missing: str = ""


def hooked_loop(lm: LanguageModel) -> Sweep:
    """Return a sweep of one ordinary forward for each branch, with a hook on each patched layer;
    prompts of one length, residual outputs replaced.
    """

    def sweep(prompts: TokenRows, branches: Sequence[Branch], readout: Readout) -> Patched:
        ids = torch.tensor([list(prompt) for prompt in prompts], device=lm.device)
        layers, model = lm.layers(), lm.base()
        read = []
        for branch in ((), *branches):
            handles = [
                layers[patch.site.layer].register_forward_hook(
                    _writer(patch.positions, patch.value)
                )
                for patch in patches_of(branch)
            ]
            try:
                with torch.no_grad():
                    logits = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1]
            finally:
                for handle in handles:
                    handle.remove()
            read.append(readout(logits.float()))
        both = torch.stack(read, dim=1)
        return Patched(base=both[:, 0], patched=both[:, 1:])

    return sweep


def _writer(positions: Tensor, value: Tensor) -> Callable[..., Any]:
    def hook(module: torch.nn.Module, inputs: Any, output: Any) -> Any:
        hidden = hidden_of(output)
        hidden[torch.arange(len(positions), device=hidden.device), positions.to(hidden.device)] = (
            value.to(hidden.device, hidden.dtype)
        )
        return output

    return hook


def _of_engine(run: Engine) -> Callable[[LanguageModel], Sweep]:
    def build(lm: LanguageModel) -> Sweep:
        return partial(run(lm).patch, tokens_per_forward=ONE_FORWARD)

    return build


LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (
        Library("loop", "loop", hooked_loop),
        Library("transformer-lens", "transformer_lens", _of_engine(engine("transformer-lens"))),
        Library("nnsight", "nnsight", _of_engine(engine("nnsight"))),
        Library(
            "pyvene", "pyvene", lambda lm: PyveneLibrary(lm).patch, pyvene_installed, PYVENE_MISSING
        ),
    )
}


@dataclass(frozen=True, eq=False)
class Built:
    """The libraries that can run, by key, and a line for each that cannot."""

    sweeps: dict[str, Sweep]
    missing: dict[str, str]


def build_libraries(lm: LanguageModel, names: Iterable[str]) -> Built:
    """Build the libraries called ``names``; those whose package is missing are listed, never
    dropped.

    Raises:
        WorkbenchError: for an unknown library.
    """
    chosen = list(dict.fromkeys(names))
    unknown = [name for name in chosen if name not in LIBRARIES]
    if unknown:
        raise WorkbenchError(
            f"Unknown library {unknown[0]!r}; use some of {', '.join(LIBRARIES)}, or none."
        )
    rows = [LIBRARIES[name] for name in chosen]
    return Built(
        {row.key: row.build(lm) for row in rows if row.present()},
        {row.key: row.missing for row in rows if not row.present()},
    )


def runs(
    sweep: Sweep, bench_inputs: BenchInputs, branches: Sequence[Branch]
) -> Callable[[], Patched]:
    """Return a library's sweep of ``branches`` as a call to time."""
    return lambda: sweep(bench_inputs.prompts, branches, bench_inputs.readout)
