"""Measure anyone's table of answers: read it, identify its columns, and measure it by group."""
