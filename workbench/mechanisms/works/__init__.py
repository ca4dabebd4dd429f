"""Each published work is one module that defines ``WORK``, and may have helpers; see
:mod:`workbench.mechanisms`.
"""
