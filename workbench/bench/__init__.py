"""Measure the cost of the workbench itself: ratios within one run, and seconds where a bound is
promised.
"""
