"""Ship configurations of ``accelerate launch`` for trainings whose weights no device holds alone.

``fsdp`` shares weights, gradients and the optimiser's state out over the accelerators of a machine;
``fsdp_offload`` keeps them in the machine's memory between uses. Before and after a training every
process holds the whole model in its memory; only in between the weights are shared out. A step's
batch is cut over the processes, so its loss is that of one process to rounding.
"""

from __future__ import annotations

from pathlib import Path

from workbench.errors import WorkbenchError

FILES = ("fsdp", "fsdp_offload")


def launch_file(name: str) -> Path:
    """Return the path of a configuration for ``accelerate launch --config_file``.

    Raises:
        WorkbenchError: for a name that is none of :data:`FILES`.
    """
    if name not in FILES:
        raise WorkbenchError(
            f"there is no configuration {name!r} for accelerate launch: choose {' or '.join(FILES)}"
        )
    return Path(__file__).with_name(f"{name}.yaml")
