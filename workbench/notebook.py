"""What analysis scripts share: whether they run as a notebook, their progress bars, their folders,
and settings from the environment.

| variable | meaning | default |
|---|---|---|
| ``WORKBENCH_MODEL`` | a hub id, a folder, or a GGUF file | the small default model |
| ``WORKBENCH_QUESTIONS`` | a JSONL, CSV or parquet file | the built-in questions |
| ``WORKBENCH_LIMIT`` | questions to draw, evenly over domains | the script's default |
| ``WORKBENCH_CONFIG`` | a YAML or JSON file with any other setting | the settings' defaults |
| ``WORKBENCH_REPLACE`` | 1: results of other settings are done again | they are refused |
| ``WORKBENCH_KEEP_CODE_VERSION`` | 1: results of other code are used | they are done again |
"""

from __future__ import annotations

import builtins
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from rich.console import Console

from workbench.config import RunConfig, load_config
from workbench.errors import WorkbenchError
from workbench.pipeline.stages import Reuse

NOTEBOOK = hasattr(builtins, "get_ipython")


def console() -> Console:
    """Where a script's bars go. Bars that move in a notebook need ipywidgets; without it lines
    say what is done.
    """
    return Console(stderr=True, force_jupyter=NOTEBOOK and find_spec("ipywidgets") is not None)


def show(figure: go.Figure) -> None:
    """Draw ``figure`` below the cell of a notebook; in a script it does nothing, the page has
    it.
    """
    if NOTEBOOK:
        figure.show()


def root() -> Path:
    """The folder of ``runs`` and ``figures``: the project's, also where a notebook works in
    ``analyses``.
    """
    return Path.cwd().parent if Path.cwd().name == "analyses" else Path.cwd()


def asked_config(**defaults: Any) -> RunConfig:
    """The settings that the environment asks for.

    ``defaults`` (dots written as double underscores) stand where the environment says nothing and
    names no file with settings.
    """
    given = {
        "model.name": os.environ.get("WORKBENCH_MODEL"),
        "questions.source": os.environ.get("WORKBENCH_QUESTIONS"),
        "questions.limit": os.environ.get("WORKBENCH_LIMIT"),
    }
    settings = os.environ.get("WORKBENCH_CONFIG")
    chosen = (
        {} if settings else {name.replace("__", "."): value for name, value in defaults.items()}
    )
    chosen |= {name: value for name, value in given.items() if value}
    return load_config(Path(settings) if settings else None, chosen)


def asked_reuse() -> Reuse:
    """What the environment allows to become of results that no longer fit."""
    return Reuse(replace=_is_on("REPLACE"), keep_code_version=_is_on("KEEP_CODE_VERSION"))


def _is_on(name: str) -> bool:
    given = option(name, "0")
    if given not in ("0", "1"):
        raise WorkbenchError(f"WORKBENCH_{name} is {given!r}; give 1 or 0.")
    return given == "1"


def option(name: str, default: str) -> str:
    """``WORKBENCH_<name>`` or its default."""
    return os.environ.get(f"WORKBENCH_{name}") or default
