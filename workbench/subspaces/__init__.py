"""Learn the subspace through which a variable acts on what a model says, and measure it on held-out
questions, with placebos beside every number.
"""
