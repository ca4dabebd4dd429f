"""Compare confidence that needs no training: every baseline on the same answers, against
its cost.
"""
