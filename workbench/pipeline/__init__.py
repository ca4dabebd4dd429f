"""Provide what every resumable piece of work needs: files written whole, folders marked as the
workbench's, locks, seals, stages.
"""
