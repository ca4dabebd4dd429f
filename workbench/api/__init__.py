"""The front door: text in, figure out.

Each module turns what a person writes (prompts, a donor, places, a readout) into what the rooms
below take, calls them, and hands back a small result with a table, a summary and a figure. The
names a person uses stand in :mod:`workbench` itself.
"""
