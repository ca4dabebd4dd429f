"""Learn the subspaces through which a variable acts on a finished run's stated confidence, swap
them and take them out.
"""
