"""Evaluate trained adapters on the questions of another run."""
