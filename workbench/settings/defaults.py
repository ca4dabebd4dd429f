"""Define the default values that more than one place needs.

Fields of the settings, arguments of functions and options of the command line take them from here,
so that a run, a notebook and a command do the same.
"""

from __future__ import annotations

RESAMPLES = 2000
"""Bootstrap resamples of an interval."""

LEVEL = 0.95
"""Coverage of an interval."""

BINS = 10
"""Bins of reliability and of binned calibration errors."""

TOKENS_PER_FORWARD = 2048
"""Memory bound of asking and recording: tokens of one forward."""

PATCHING_TOKENS_PER_FORWARD = 8192
"""Memory bound of patching and attribution: tokens of one forward, those of branches included."""

CONTROL_LAYERS = 6
"""Layers, evenly spread, at which controls are read that need not be read at every layer."""

CHECKED_CELLS = 8
"""Largest cells of an attribution that are patched truly, and as many random ones."""

MOST_WAITING_BYTES = 4_000_000_000
"""Memory bound of a streamed model: what all batches hold that wait for its next layer."""

RESUME_BYTES = 50_000_000_000
"""Disk bound of what layers of a streamed model returned, kept for a process that is killed."""

PROBE_MEMORY_BYTES = 2_000_000_000
"""Memory bound of fitting probes."""

RECORDED_BYTES = 2_000_000_000
"""Memory bound of recorded states, beyond which they stay on disk in shards."""
REMOTE_RETRIES = 3
"""How often a request that was lost on its way to a server is sent again."""
REMOTE_WAIT = 1800.0
"""Seconds that a request to a server may hear nothing, in its queue or running."""

WRITTEN_BYTES = 2**30
"""Memory bound of texts under patches: keys and values, or states, of the rows that are written
together."""
