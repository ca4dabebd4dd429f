"""What every resumable piece of work stands on: files written whole, folders that are marked as
ours, locks, seals, stages.
"""
