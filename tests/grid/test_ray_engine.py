"""Cells on a Ray cluster of two nodes on this machine, all of it on the loopback interface."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.light_cells import STAGES, finished, light_tasks, perform_light, worked
from workbench.errors import WorkbenchError
from workbench.grid.attempts import Outcome, read_attempts
from workbench.grid.driver import drive
from workbench.grid.engine import Resources
from workbench.grid.ray_engine import LOOPBACK, RayEngine, import_ray

NODE = {"num_cpus": 1, "node_ip_address": LOOPBACK, "object_store_memory": 80 << 20}
CHECKS = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head and its files, with one core; the test adds a node."""
    # Sockets of Ray lie below this folder, and their paths may not be long.
    place = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    monkeypatch.setenv("RAY_TMPDIR", place)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    ray = import_ray(alone=True)
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={**NODE, "include_dashboard": False, "_system_config": CHECKS},
    )
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
        shutil.rmtree(place, ignore_errors=True)


def test_a_node_is_killed_and_every_cell_is_finished_exactly_once(
    cluster: Any, tmp_path: Path
) -> None:
    node = cluster.add_node(**NODE)
    tasks = light_tasks(tmp_path, {f"cell{i}": {"pace": 0.5} for i in range(3)})

    def kill_node() -> None:
        """Kill the second node once both have a cell in its second stage."""
        deadline = time.monotonic() + 60
        while sum(stage == "second" for _, stage in worked(tmp_path)) < 2:
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill_node)
    killer.start()
    engine = RayEngine(cluster.address, perform=perform_light, wait=0.1)
    outcome = drive(tasks, engine, finished=finished)
    killer.join()
    assert outcome.finished == ("cell0", "cell1", "cell2")
    assert not outcome.failed
    counts = worked(tmp_path)
    twice = [key for key, count in counts.items() if count != 1]
    assert set(counts) == {(f"cell{i}", stage) for i in range(3) for stage in STAGES}
    # One cell was lost with its node: the stage it was in was done again, and no finished one.
    assert len(twice) == 1
    assert counts[twice[0]] == 2
    for task, _ in tasks:
        outcomes = [one.outcome for one in read_attempts(task.attempts)]
        assert outcomes.count(Outcome.FINISHED) == 1
        assert (Outcome.STARTED in outcomes) == (task.cell.name == twice[0][0])
    with (
        pytest.raises(WorkbenchError, match="No node of the Ray cluster has what one run"),
        RayEngine(cluster.address, Resources(gpus=3)),
    ):
        pass


def test_without_ray_it_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(WorkbenchError, match=r"confidence-workbench\[ray\]"):
        import_ray()
