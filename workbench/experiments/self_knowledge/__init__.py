"""Test on a finished run whether a model knows before it answers that it will be right."""
