"""Measurements of the workbench's own cost, always as ratios within one run."""
