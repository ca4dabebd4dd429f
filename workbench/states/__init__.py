"""Keep recorded states on disk in shards, and read back what is asked for.

A shard holds some questions' states at every layer and position (:mod:`workbench.states.shard`), a
manifest says which question is where (:mod:`workbench.states.manifest`).
:class:`workbench.states.writer.StatesWriter` adds shard by shard, and goes on after a kill;
:class:`workbench.states.recorded.RecordedStates` is indexed like an array and reads only the layers
and positions that are taken from it.
"""
