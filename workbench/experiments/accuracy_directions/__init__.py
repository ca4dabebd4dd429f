"""Test on a finished run the angle between what is right and what is said, and steer by it."""
