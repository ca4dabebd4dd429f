"""Run by ``accelerate launch`` in every process of ``test_several_processes.py``: the command line,
on a processor that passes for an accelerator.
"""

from __future__ import annotations

from tests.support.processor_as_accelerator import pass_for_an_accelerator
from workbench.cli.app import app

if __name__ == "__main__":
    pass_for_an_accelerator()
    app()
