"""The front door: text in, figure out.

Every function takes a model and text and gives a small frozen object with ``table()``,
``summary()`` and ``figure()``.
"""
