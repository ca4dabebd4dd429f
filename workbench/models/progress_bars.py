"""Load models without the host libraries' progress bars; their warnings stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod

from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)
from tqdm.std import tqdm
from transformers.utils import logging as transformers_logging


@contextmanager
def quiet_bars(quiet: bool) -> Iterator[None]:
    """Hide the bars of transformers and huggingface_hub inside the block when ``quiet``; restore
    them after it.
    """
    if not quiet:
        yield
        return
    transformers_on = transformers_logging.is_progress_bar_enabled()
    hub_on = not are_progress_bars_disabled()
    transformers_logging.disable_progress_bar()
    disable_progress_bars()
    drawn = tqdm.__init__
    # The GGUF reader of transformers draws with tqdm itself and asks neither switch.
    tqdm.__init__ = partialmethod(drawn, disable=True)
    try:
        yield
    finally:
        tqdm.__init__ = drawn
        if transformers_on:
            transformers_logging.enable_progress_bar()
        if hub_on:
            enable_progress_bars()
        else:
            disable_progress_bars()
