"""Hide what libraries write to their logs that means nothing to whoever uses the workbench.

A notice is hidden by the logger that writes it and a few of its words, so warnings of the same
library stay. Nothing is hidden unless it is asked for: by the command line, and by
:func:`workbench.progress_bars.show_progress`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

NOTICES = {
    "transformers.trainer_utils": "mtime may not be reliable",
    "torchao": "Failed to load",
    "torch.utils._pytree": "is an Enum subclass",
}
"""Words of notices that mean nothing here, by the logger that writes them: the order of checkpoints
is taken from their numbers; kernels for other devices cannot be loaded; torch will not need a call
that torchao makes.
"""


@contextmanager
def no_notices() -> Iterator[None]:
    """Suppress the :data:`NOTICES` of libraries."""
    filters = {logging.getLogger(name): _without(start) for name, start in NOTICES.items()}
    for logger, of_use in filters.items():
        logger.addFilter(of_use)
    try:
        yield
    finally:
        for logger, of_use in filters.items():
            logger.removeFilter(of_use)


def _without(words: str) -> Callable[[logging.LogRecord], bool]:
    return lambda record: words not in str(record.msg)
