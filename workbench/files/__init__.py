"""Write files and folders safely, mark and lock them, and detect damage: atomic writes, marks,
locks, seals.
"""
