"""Provide the interface for users: text in, figure out.

Each module turns what a person writes (prompts, a donor, places, a readout) into what the packages
below take, calls them, and returns a small result with a table, a summary and a figure.
:mod:`workbench` itself exports the names a person uses.
"""
