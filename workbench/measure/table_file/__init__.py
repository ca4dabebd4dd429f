"""Measures of somebody else's table of answers: read, its columns told apart, by group."""
