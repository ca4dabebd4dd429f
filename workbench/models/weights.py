"""Read a checkpoint's weights through transformers, all of them or none.

transformers fills weights that a checkpoint lacks with random numbers and only warns; here that is
an error, because every number measured on such a model would be noise.

Weights that keep the dtype of their file are views of the file, mapped into memory. Weights that do
not are read and converted one after the other, because the pages of a mapped file would stay in
memory until the last of them is converted: a bfloat16 file held as float32 would take half of the
weights' memory once more.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from transformers import AutoModelForCausalLM

from workbench.compat import unmapped_files
from workbench.errors import WorkbenchError
from workbench.models.progress_bars import quiet_bars


def read_model(name: str, place: str, *, quiet: bool, mapped: bool = True, **options: Any) -> Any:
    """Load the causal LM at ``place``, a folder or hub id; ``options`` go to ``from_pretrained``.

    Args:
        mapped: whether the files are mapped into memory, for weights that stay as they are there.

    Raises:
        WorkbenchError: when the checkpoint, called ``name`` in the message, lacks weights or has
            some of another shape; the host library's own errors pass through.
    """
    try:
        with quiet_bars(quiet), nullcontext() if mapped else unmapped_files():
            model, report = AutoModelForCausalLM.from_pretrained(
                place, output_loading_info=True, **options
            )
    except RuntimeError as error:
        if "ignore_mismatched_sizes" not in str(error):
            raise
        raise WorkbenchError(
            f"the checkpoint of {name!r} has weights of another shape than its configuration asks "
            "for: take both from the same model"
        ) from error
    absent = sorted(map(str, report["missing_keys"])) + sorted(
        str(key[0]) for key in report["mismatched_keys"]
    )
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        raise WorkbenchError(
            f"the checkpoint of {name!r} lacks weights that its configuration asks for "
            f"({', '.join(absent[:3])}{more}): take both from the same model"
        )
    return model
