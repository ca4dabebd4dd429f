"""Keep recorded states on disk in shards, and read back what is asked for.

A shard holds some questions' states at every layer and position (:mod:`workbench.states.shard`), a
manifest says which question is where (:mod:`workbench.states.manifest`).
:class:`StatesWriter` adds shard by shard, and goes on after a kill; :class:`RecordedStates` is
indexed like an array and reads only the layers and positions that are taken from it.
"""

from workbench.states.layout import DTYPES, Layout
from workbench.states.manifest import MANIFEST
from workbench.states.recorded import RecordedStates, open_states
from workbench.states.writer import StatesWriter

__all__ = ["DTYPES", "MANIFEST", "Layout", "RecordedStates", "StatesWriter", "open_states"]
