"""Run many runs: every combination of models, question sets, recipes, settings and seeds that a
grid file names, each exactly once, on one machine, a Ray cluster or Slurm, gathered in one table.

A cell of a grid is one ``workbench run`` (or one recipe of ``workbench teach``) with its own
settings and folder. It is finished when the seals of its own run say so, whoever did it. The
operating system's lock on its folder, and a heartbeat where a file system passes no locks on, keep
a second worker out (:mod:`workbench.files.locks`).
"""
