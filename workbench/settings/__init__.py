"""Define what every setting must be, read settings files, and explain their faults."""
