"""Run recipes: every arm is trained with its seeds and its shuffled-target control, and
measured.
"""
