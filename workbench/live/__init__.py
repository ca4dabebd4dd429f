"""Serve the live bench: a page on this machine where one clicks a token and sees what patches at it
do.

The numbers are those of the public functions for patching; every answer carries the Python that
gives them. A view is asked for as JSON (:mod:`workbench.live.requests`), computed by the one thread
that holds the model (:mod:`workbench.live.worker`), and answered line by line.
"""
