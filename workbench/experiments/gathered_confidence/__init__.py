"""Test on a finished run whether confidence is gathered after the answer and retrieved at the
number.
"""
