"""Each published work is one module that defines ``WORK``; see :mod:`workbench.mechanisms`."""
