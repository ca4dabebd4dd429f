"""Describe an experiment: its question, its functions and its settings.

What a row names is imported when it is used, so that listing the experiments loads no model
library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

from workbench.experiments.parameters import Parameters
from workbench.report import Page

_ROOM = "workbench.experiments"


@dataclass(frozen=True)
class Experiment:
    """An experiment: its question, its functions and its settings.

    Attributes:
        about: the question, in one line.
        entry: ``module:name`` of its parameters, of its run and of its page, below this package.
        run_name: the name of its run unless a person gives one.
        page_folder: folder of its page, below the folder of the run's figures; "" for that folder.
        settings: dotted settings of the experiment; a person's settings have precedence.
        on_finished_run: whether it uses a run of the main loop, which is taken as it is.
        trains: whether arms are trained, whose settings apply where a person wrote none; its run
            gets the settings with their origins.
    """

    name: str
    about: str
    entry: tuple[str, str, str]
    run_name: str
    page_folder: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    on_finished_run: bool = False
    trains: bool = False

    @property
    def parameters(self) -> type[Parameters]:
        """The class of its parameters."""
        kind: type[Parameters] = resolve_name(f"{_ROOM}.{self.entry[0]}")
        return kind

    @property
    def run(self) -> Callable[..., Any]:
        """The function that runs it."""
        function: Callable[..., Any] = resolve_name(f"{_ROOM}.{self.entry[1]}")
        return function

    @property
    def page_of(self) -> Callable[[Any], Page]:
        """The function that makes a page of its results."""
        function: Callable[[Any], Page] = resolve_name(f"{_ROOM}.{self.entry[2]}")
        return function
