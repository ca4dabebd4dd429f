"""Shorten a model's attention windows for a moment, so that short prompts reach beyond them.

Sliding windows and chunks of attention are numbers of the configuration that transformers reads in
every forward to build its masks. Models whose layers have masks of their own, fixed when they were
built, are not changed by this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.models import LanguageModel
from workbench.trace.masks import CHUNK, WINDOWS

SHORT = 3


def unknown_windows(lm: LanguageModel) -> tuple[str, ...]:
    """Return the configuration's other numbers that are called windows: those which are none of
    transformers' masks, and cannot be shortened here.
    """
    known = (*WINDOWS, CHUNK)
    return tuple(
        name
        for name, value in lm.config.to_dict().items()
        if "window" in name
        and name not in known
        and not name.startswith(("max_", "use_"))
        and not name.endswith("_pattern")
        and isinstance(value, int)
        and value > 0
    )


@contextmanager
def short_windows(lm: LanguageModel, size: int = SHORT) -> Iterator[tuple[str, ...]]:
    """Let no window or chunk of ``lm`` be longer than ``size`` inside the block; yield the names of
    those there are.
    """
    config = lm.config
    names = tuple(name for name in (*WINDOWS, CHUNK) if getattr(config, name, None))
    kept = {name: getattr(config, name) for name in names}
    try:
        for name in names:
            setattr(config, name, min(int(kept[name]), size))
        yield names
    finally:
        for name, value in kept.items():
            setattr(config, name, value)
