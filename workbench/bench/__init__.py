"""Measurements of the workbench's own cost: ratios within one run, and seconds where a bound is
promised.
"""
