"""Open the run of the main loop that an experiment uses, or make it first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.config import RunConfig, load_config
from workbench.errors import WorkbenchError
from workbench.loop import CONFIG, is_complete, open_run, run_loop
from workbench.loop.run import Run
from workbench.pipeline.stages import Reuse


def open_or_make_run(config: RunConfig | None, folder: Path, figures: Path, reuse: Reuse) -> Run:
    """Open the complete run in ``folder`` as it is; where there is none, make it first.

    Args:
        config: None for the settings of the existing run, or else the defaults.
        reuse: ``replace`` makes a run of other settings anew.

    Raises:
        WorkbenchError: where ``config`` is given and the run was made with other settings.
    """
    if config is not None and is_complete(folder):
        others = _differences(load_config(folder / CONFIG), config)
        if others and not reuse.replace:
            raise WorkbenchError(
                f"{folder} holds a run of other settings ({others[0]}); give none to use it as it "
                "is, another --name to make one, or --replace."
            )
        if others:
            run_loop(config, folder, figures, reuse)
    if not is_complete(folder):
        run_loop(config or RunConfig(), folder, figures, reuse)
    return open_run(folder, figures, reuse)


def _differences(there: RunConfig, wanted: RunConfig) -> list[str]:
    before, now = (dict(_flat(each.model_dump(mode="json"))) for each in (there, wanted))
    return [f"{key}: {before[key]} there, {now[key]} now" for key in now if before[key] != now[key]]


def _flat(content: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{start}{key}.")
        else:
            yield f"{start}{key}", value
