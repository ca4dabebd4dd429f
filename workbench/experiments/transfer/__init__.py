"""Trained adapters evaluated on the questions of another run."""
