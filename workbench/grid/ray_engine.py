"""Start each run as one task of a Ray cluster.

Ray carries :func:`workbench.grid.worker.perform_cell` to a node by its name, with two texts as its
arguments; nothing of the package is pickled, so the package must be installed on the nodes. Each
task is a process of its own that ends with it, which gives its memory and accelerator back. Ray's
own retries are off: the driver starts a lost attempt again, on any engine alike, and the run goes
on at its last finished stage. Tasks end with the driver that started them; a driver that is started
again resumes their runs.

Ray's usage statistics and its dashboard are switched off. A cluster that is started here, where no
address is given, listens on the loopback interface alone; a cluster that is only joined is as its
owner started it (``RAY_USAGE_STATS_ENABLED=0 ray start --head --include-dashboard=false``).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

from workbench.errors import WorkbenchError
from workbench.grid.engine import ONE_CORE, Perform, Resources
from workbench.grid.worker import perform_cell

_SEVERAL_MACHINES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's switch, on every system: without it nodes have the loopback address."""
LOOPBACK = "127.0.0.1"
EXTRA = "pip install 'confidence-workbench[ray]'"


def import_ray(*, alone: bool = False) -> ModuleType:
    """Import Ray, with its usage statistics switched off.

    Args:
        alone: no other machine will take part. Ray then stays on the loopback interface, which it
            decides when it is first imported.

    Raises:
        WorkbenchError: where it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if alone:
        os.environ[_SEVERAL_MACHINES] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise WorkbenchError(
            f"The engine 'ray' needs Ray, which is not installed; {EXTRA}, here and on every node."
        ) from error


@dataclass
class RayJob:
    """A task of the cluster."""

    ray: ModuleType
    reference: Any

    def ending(self) -> str | None:
        """Return Ray's words for a task that was lost."""
        ready, _ = self.ray.wait([self.reference], timeout=0)
        if not ready:
            return None
        try:
            self.ray.get(self.reference)
        except self.ray.exceptions.RayError as error:
            words = " ".join(str(error).split())
            return f"{type(error).__name__}: {words[:300]}"
        return ""


@dataclass
class RayEngine:
    """The cluster at ``address``; None starts one on this machine for the time of the grid.

    Attributes:
        perform: a function of a module, which does a cell.
        start_options: further arguments of ``ray.init``.
    """

    address: str | None = None
    resources: Resources = ONE_CORE
    perform: Perform = perform_cell
    start_options: Mapping[str, Any] = field(default_factory=dict)
    slots: int | None = None
    wait: float = 0.5
    _ray: ModuleType | None = None
    _remote: Any = None
    _own: bool = False

    def __enter__(self) -> Self:
        ray = self._ray = import_ray(alone=self.address is None)
        self._own = not ray.is_initialized()
        if self._own:
            self._connect(ray)
        self._require_room(ray)
        needs: dict[str, Any] = {
            "num_cpus": self.resources.cpus,
            "num_gpus": self.resources.gpus,
        }
        if self.resources.memory_bytes is not None:
            needs["memory"] = self.resources.memory_bytes
        self._remote = ray.remote(
            max_calls=1, max_retries=0, scheduling_strategy="SPREAD", **needs
        )(self.perform)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._own and self._ray is not None:
            self._ray.shutdown()

    def start(self, task: Path, attempt: str, log: Path) -> RayJob:
        """Queue a task in the cluster."""
        assert self._ray is not None
        return RayJob(self._ray, self._remote.remote(str(task), attempt))

    def _connect(self, ray: ModuleType) -> None:
        options: dict[str, Any] = {
            "address": self.address or "local",
            "log_to_driver": False,
            "configure_logging": False,
            **self.start_options,
        }
        if self.address is None:
            options |= {"include_dashboard": False, "_node_ip_address": LOOPBACK}
        try:
            ray.init(**options)
        except Exception as error:  # Ray raises a bare one where a node does not come up in time
            words = " ".join(str(error).split())[:200]
            if self.address is None:
                raise WorkbenchError(
                    f"Ray could not start on this machine ({words}); free its cores and memory, or "
                    "use --engine local."
                ) from error
            raise WorkbenchError(
                f"There is no Ray cluster at {self.address!r} ({words}); give the address that "
                "'ray start' printed with --address, or none for one on this machine."
            ) from error

        if self.address is None and ray.util.get_node_ip_address() != LOOPBACK:
            ray.shutdown()
            raise WorkbenchError(
                "Ray was imported before and would listen to other machines; start the grid in a "
                "process of its own."
            )

    def _require_room(self, ray: ModuleType) -> None:
        """Refuse needs that no node of the cluster can meet, for which a task would wait
        forever.
        """
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        needs = {"CPU": self.resources.cpus, "GPU": self.resources.gpus}
        if self.resources.memory_bytes is not None:
            needs["memory"] = self.resources.memory_bytes
        if not any(all(node.get(k, 0) >= v for k, v in needs.items()) for node in nodes):
            asked = ", ".join(f"{key} {value:,}" for key, value in needs.items() if value)
            raise WorkbenchError(
                f"No node of the Ray cluster has what one run is to have ({asked}); lower --cpus, "
                "--gpus or --memory, or start a node that has it."
            )
