"""Measure how far the confidence a model states agrees with the probability it gives its answer."""
