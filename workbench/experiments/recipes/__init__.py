"""Recipes: every arm trained with its seeds and its shuffled-target control, and measured."""
